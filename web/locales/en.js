// @ts-check
/**
 * Every text of the pages in English. Each other language is a file like this one with the same keys, which tsc checks.
 *
 * Errors are sentences that say what happened and what to do next. `*strong*` and `` `code` `` are markup. The labels
 * are in the model's language, mostly ImageNet's English, because they belong to the model.
 */

const common = {
  brand: 'whycam',
  cancel: 'Cancel',
  labelsAreEnglish: 'The names are the model’s; those of ImageNet are English.',
  pinned: 'pinned',
  eachByItself: 'Each class is judged by itself: the bars do not add up to 100%.',
  /** Before the name of a class. */
  verdicts: { guess: 'Not sure, perhaps', nothing: 'Nothing here speaks for' },
  opacity: 'Heat',
  colormap: 'Colours',
  model: 'Model',
  /** The certificate warning, where the code is shown. */
  warning: {
    title: 'The phone’s browser warns once.',
    how: 'whycam made its certificate itself. Two taps lead on:',
    systems: [
      { name: 'iPhone', steps: ['Show Details', 'visit this website'] },
      { name: 'Android', steps: ['Advanced', 'Proceed to …'] },
    ],
  },
  /** @param {string} name */
  modelIs: (name) => `The model is ${name} now.`,
  /** @param {string} name */
  modelLoads: (name) => `${name} is loading; the picture goes on.`,
  /** A model's heatmaps, by the names that their papers have. */
  maps: {
    method: 'Method',
    layer: 'Layer',
    methods: {
      'grad-cam': 'Grad-CAM', hirescam: 'HiResCAM', 'grad-cam++': 'Grad-CAM++', 'xgrad-cam': 'XGrad-CAM',
      'layer-cam': 'LayerCAM', 'eigen-cam': 'Eigen-CAM', negative: 'What speaks against it', 'input-x-gradient': 'Input × gradient',
      'integrated-gradients': 'Integrated Gradients',
    },
    coarse: 'coarse',
    fine: 'fine',
    /** @param {string} name */
    is: (name) => `The heatmap is ${name} now.`,
    loads: 'The other heatmap is loading; the picture goes on.',
  },
  /** Of two pinned classes: why the one and not the other. */
  difference: {
    name: 'Difference',
    title: 'What speaks for one of the two pinned classes rather than for the other',
    colours: ['Orange', 'Blue'],
    /** @param {string} first @param {string} second */
    speaksFor: (first, second) => `speaks for ${first} rather than ${second}`,
    otherWay: 'the other way round',
  },

  problems: {
    serverGone: 'The server does not answer. Check that whycam is running and that this device is in its network, '
      + 'then try again.',
    serverSilent: 'The server does not answer.',
    notJoined: 'This device has not joined yet, or its code is an old one. Scan the code that the computer shows now.',
    insecure: 'Browsers allow the camera on secure pages only. Open this page with https://, or as http://localhost on '
      + 'the computer that serves it.',
    noCalls: 'This browser cannot make live calls (WebRTC is missing or switched off). Use a current Chrome, Edge, '
      + 'Firefox or Safari.',
    badAnswer: 'The server’s answer was not understood. Reload the page, then try again.',
    noNetwork: 'This computer is in no network, and then browsers send no video, not even to this computer itself. Join '
      + 'any network, such as a phone’s hotspot (it needs no internet), then start again.',
    noCandidate: 'This browser offers no network path for video. Switch off the extension, setting or VPN that blocks '
      + 'WebRTC, or use another browser, then start again.',
    noPath: 'The server answered, but the connection failed. Check that a firewall or VPN does not stop UDP between '
      + 'this device and the server, then try again.',
    noPicture: 'This device is connected, but no picture came back. Look at the server’s log, then try again.',
    connectionLost: 'The connection was lost. Check that whycam is running and that this device is in its network, '
      + 'then start again.',
    serverClosed: 'The server ended the call. Check that it is still running, then start again.',
    /** The server's refusals by HTTP status, or by request and status. */
    refusals: {
      400: 'The server did not understand this page. Reload it, then try again.',
      'call 400': 'This browser and the server have no video format in common (H.264 or VP8). Use a current Chrome, Edge, '
        + 'Firefox or Safari.',
      'watch 400': 'This browser cannot play this camera’s video format. Use a current Chrome, Edge, Firefox or Safari.',
      401: 'This is an old code. Scan the one that the computer shows now.',
      403: 'This device’s code does not allow this. Scan the code that the computer shows.',
      404: 'The server does not have this, or no longer has it. Reload the page.',
      'watch 404': 'This camera is not live any more.',
      'command 404': 'This camera is not live any more.',
      'door 409': 'This computer is not in a network, so no phone can reach it. Join a Wi-Fi, or switch on the phone’s hotspot '
        + 'and join that (it needs no internet); then let phones join again.',
      'door 503': 'The door for phones cannot be opened. Perhaps another program, such as a second whycam, uses its port: '
        + 'end it, or start whycam with another --lan-port.',
      'teach 400': 'The computer does not take this name: it is empty, too long, or another thing has it. Choose another one.',
      'teach 403': 'Only the computer that runs whycam lets phones teach, and it does not do so now.',
      'teach 404': 'This thing is not taught any more: somebody has removed it.',
      'teach 409': 'This cannot be done now: nothing is taught yet, nothing can be taken back, or as many things are taught as can be.',
      'teach 503': 'The model is restarting. Try again in a moment.',
      'example 403': 'Only the phone that gave this example can remove it, and the computer that runs whycam.',
      'example 404': 'This example is gone already.',
      'taught 400': 'A model cannot have this name. Choose one of letters, digits and hyphens.',
      'taught 409': 'There is a model of this name, or nothing is taught yet. Choose another name.',
      'film 403': 'This computer accepts no films from this device.',
      'film 404': 'This film is not in the list any more.',
      'film 408': 'The film arrives too slowly. Go nearer to the Wi-Fi, then choose it again.',
      'film 409': 'The film was cancelled.',
      'film 413': 'The film is larger than the server accepts. Explain it on the computer: whycam process',
      'film 503': 'As many films wait as can. Choose it again when one of them is done.',
      'film 507': 'The computer’s disk has no room for the film and its result. Delete recordings, then choose it again.',
      'model 403': 'Only the computer that runs whycam can choose the model.',
      'model 404': 'This model or heatmap is not on the computer any more. Choose another one.',
      'model 409': 'The model is being changed already. Try again when that is done.',
      'model 422': 'This model’s file cannot be used: it is damaged, or it was not made for whycam. The model '
        + 'stays as it was; the computer’s log says more.',
      'model 503': 'This model does not start; there may be too little memory. The model stays as it was; the computer’s log '
        + 'says more.',
      408: 'The network was too slow. Go nearer to the Wi-Fi, then try again.',
      409: 'The recording cannot be deleted or restored now: it is still being written, or another program '
        + 'uses its files. Try again later.',
      413: 'This browser offers more network addresses than the server accepts. Switch off VPNs and virtual networks on this '
        + 'device, then try again.',
      421: 'This is not an address of the server. Scan the code that the computer shows now.',
      429: 'This device connects too often. Wait a minute, then try again.',
      'join 429': 'Too many wrong codes came from this device. Wait a minute, then scan the code that the computer shows '
        + 'now.',
      431: 'This browser sends more with each request than the server accepts. Delete this page’s cookies, then scan the code '
        + 'again.',
      500: 'The server failed; its log has the details. Try again in a moment.',
      503: 'No more cameras can start now: the limit of the server or of this device is reached. End one, then try again.',
      'watch 503': 'The server has as many viewers as it can serve. Try again later.',
    },
    /** For a refusal without its own text. @param {string} sentence the server's own, in English @param {number} [status] */
    serverSays: (sentence, status) => sentence || `The server refused this (HTTP ${status}). Try again in a moment.`,
    /** @param {string} detail */
    unexpected: (detail) => `Something went wrong in the page (${detail}). Reload it, then try again.`,
  },
};

const phone = {
  picture: 'The explained picture',
  panel: 'What the network sees',
  labels: 'The five most probable classes; press one to pin it',
  headline: 'See what a neural network looks at.',
  pitch: 'Point the camera at something. The warm places are the ones that decide its name.',
  promise: 'The video goes to the computer that serves this page and nowhere else.',
  /** Whether that computer records it. */
  promises: {
    on: '*It records the video there*, with and without heat, until you press the red button.',
    ask: '*It records nothing* there unless you press the red button.',
    off: '*Nothing is recorded.*',
  },
  recordAll: 'Record cameras',
  recordModes: { on: 'all', ask: 'who wants it', off: 'none' },
  recordsNow: 'This has just changed: read below whether the computer records the video, then start again.',
  start: 'Start the camera',
  startAgain: 'Start again',
  openFile: 'Play a video file live',
  films: {
    choose: 'Explain a film',
    how: 'Or drop a film on this page, also an iPhone’s: every frame is explained.',
    drop: 'Drop the film: every frame is explained.',
    list: 'Films',
    explain: 'Explain every frame',
    /** @param {string} name */
    cancel: (name) => `Cancel ${name}`,
    /** @param {string} name */
    dismiss: (name) => `Remove ${name} from this list`,
    offered: 'This browser cannot play it live. whycam can explain it.',
    queued: 'Waits to be sent.',
    /** @param {string} part */
    uploading: (part) => `${part} sent`,
    waiting: 'Waits until the film before it is done.',
    begins: 'Begins…',
    /** @param {string} part @param {number} left seconds; 0 if unknown */
    explaining: (part, left) => `${part} explained${left > 90 ? `, about ${Math.round(left / 60)} min left` : left ? `, about ${Math.ceil(left / 10) * 10} s left` : ''}`,
    report: 'The report is being made.',
    /** @param {number} frames */
    done: (frames) => `Explained: ${frames} ${frames === 1 ? 'frame' : 'frames'}.`,
    watch: 'Watch it',
    toReport: 'Report',
    download: 'Download',
    /** @param {string} name */
    taken: (name) => `${name} is being explained. You find it under the recordings.`,
    /** @param {string} name */
    notSent: (name) => `${name} was not sent completely: the server does not answer. Check that whycam is running, then choose it again.`,
    /** @param {string} most */
    tooLarge: (most) => `It is larger than ${most}. Explain it on the computer: whycam process`,
    /** Why a film was not explained, by code. */
    failed: {
      'not-a-film': 'This is not a film that whycam can read. Choose an MP4, MOV, MKV, WebM, AVI or MPEG film.',
      image: 'This is an image. Choose a film; “whycam process” explains images.',
      'disk-full': 'The computer’s disk is full. Delete recordings, then choose the film again.',
      crashed: 'The program that explained it was ended. Try “whycam process” on the computer, which says more.',
      'upload-cut-off': 'whycam was ended while the film arrived. Choose it again.',
      model: 'The model does not start; the computer’s log says more. Choose another model, then the film again.',
    },
  },
  head: 'The call',
  stop: 'End the call',
  record: 'Record',
  recorded: 'Recording',
  unrecorded: 'Not recording',
  freeze: 'Freeze',
  hide: 'Hide evidence',
  hideTitle: 'Covers the hottest place and runs the model again',
  save: 'Save',
  more: 'More',
  share: 'Share the picture',
  helpShort: 'Help',
  hint: 'Tap a name to pin its heatmap. Pin two to compare them.',
  hintPinned: 'Tap it again to release it.',
  tip: 'Tap a name to pin it. Tap the picture for the camera only.',
  peek: 'Show the camera only',
  peeking: 'Camera, without the heatmap',
  frozen: 'Frozen. You can still pin.',
  flip: 'Switch to the other camera',
  torch: 'Light',
  zoom: 'Zoom',
  teach: {
    name: 'Teach',
    title: 'Teach it your things',
    done: 'Done',
    close: 'Close',
    how: 'Name a thing, then hold its button for three seconds while the camera sees it from several sides. With two things it begins '
      + 'to learn; *Something else* is what is neither: the table, your hand.',
    shown: 'Which classes are shown',
    shows: { own: 'What it knew', taught: 'What we taught' },
    showsNow: { own: 'The pictures show what it knew before.', taught: 'The pictures show what we taught.' },
    classes: 'Taught classes',
    hold: 'Hold while the camera looks at it',
    letGo: 'Let go to stop',
    pressAgain: 'Press to stop',
    full: 'Full',
    /** For screen readers. @param {string} name */
    holdAll: (name) => `Hold while the camera looks at it: ${name}. A short press starts, the next one ends.`,
    /** @param {string} name */
    begins: (name) => `The camera shows ${name}.`,
    /** @param {string} name @param {number} count */
    given: (name, count) => `${name}: ${count} ${count === 1 ? 'example' : 'examples'}.`,
    /** @param {string} name @param {number} number */
    example: (name, number) => `${name}, example ${number}: enlarge`,
    /** @param {string} name */
    rename: (name) => `Rename ${name}`,
    /** @param {string} name */
    remove: (name) => `Remove ${name}`,
    add: 'Add',
    addLabel: 'Name of another thing',
    addExample: 'mug, pencil case …',
    somethingElse: 'Something else',
    somethingElseTitle: 'A class for all that is none of your things: without it, everything is one of them',
    nameIt: 'Type a name first.',
    /** @param {string} name */
    sameName: (name) => `There is “${name}” already.`,
    /** @param {number} most */
    noMore: (most) => `These are ${most}, as many as it can be taught.`,
    undo: 'Undo the last change',
    /** What would be taken back, by the server's code. @type {Record<string, (name: string, count: number) => string>} */
    undoes: {
      examples: (name, count) => `Undo: ${count} ${count === 1 ? 'example' : 'examples'} of ${name}`,
      class: (name) => `Undo: ${name} added`,
      name: (name) => `Undo: ${name} renamed`,
      removal: (name) => `Undo: ${name} removed`,
      'removal of an example': (name) => `Undo: an example of ${name} removed`,
      clearing: () => 'Undo: everything forgotten',
    },
    /** @param {number} right @param {number} tested */
    right: (right, tested) => `${right} of ${tested} right, of examples that it did not see while it learned.`,
    tooFew: 'Too few examples to say how good it is: show each thing once more, from another side.',
    wrong: 'What did it get wrong?',
    noneWrong: 'Nothing, of the examples that were kept out.',
    places: 'Where does it look?',
    nowhere: 'There is no heat to show yet.',
    looking: 'One moment…',
    /** @param {string} name @param {string} takenFor @param {string} share */
    takenFor: (name, takenFor, share) => `It took “${name}” for “${takenFor}”, with ${share}: it looked here.`,
    /** @param {string} name @param {string} middle @param {string} border */
    where: (name, middle, border) => `The mean heat of ${name}: ${middle} in the middle, ${border} at the border`,
    /** @param {string} middle @param {string} border */
    parts: (middle, border) => `${middle} of the heat is in the middle, ${border} at the border.`,
    suspicious: 'It may have learned the background: move the object and try again.',
    /** @param {string} name */
    pictureOf: (name) => `An example of ${name}`,
    /** @param {string} name */
    heatOf: (name) => `The same, with the heat of ${name}`,
    noHeat: 'There is no heat yet: it has not learned from it.',
    removeExample: 'Remove this example',
    save: 'Save',
    saveLabel: 'Name of the model',
    saveName: 'Type a name for the model first.',
    saving: 'Saving…',
    /** @param {string} name @param {boolean} kept whether its examples are, too */
    savedAs: (name, kept) => `Saved as ${name}${kept ? ', with its examples' : ''}: a model of this computer from now on.`,
    keep: 'Keep the examples, to teach further later',
    keepHint: 'Their pictures are then stored on this computer, beside the model. They stay here.',
    download: 'Download the model file',
    downloadClasses: 'What it learned from',
    phones: 'Phones may teach',
    clear: 'Forget everything',
    clearAsks: 'Forget all classes and their examples?',
    clearYes: 'Forget',
  },
  /** @param {string} factor */
  zoomBy: (factor) => `${factor}×`,
  cameras: 'Choose a camera',
  /** @param {number} number */
  cameraNumber: (number) => `Camera ${number}`,
  search: 'Pin any class by its name',
  searchAny: 'Where is the …?',
  /** @param {string} name of one of the model's classes */
  searchExample: (name) => `Where is the … ${name}?`,
  hiding: 'Hiding the evidence…',
  /** @param {number} seconds */
  ago: (seconds) => `${seconds} s ago`,
  /** @param {string} file */
  saved: (file) => `Saved as ${file}.`,
  /** For screen readers. @param {string} label @param {string} share */
  seen: (label, share) => `${label}, ${share}`,

  camera: 'Camera',

  phones: 'With a phone',
  phonesHow: 'Scan this with the phone’s camera.',
  phonesMore: 'The page does not open?',
  /** @param {string} port */
  phonesUnreachable: (port) => 'Is the phone in the same network? A guest or school Wi-Fi may keep devices apart: use '
    + 'the phone’s hotspot (it needs no internet), then let no phone join and let them join again: the address changes. '
    + `A firewall must let in TCP ${port} and UDP (--udp-ports limits which).`,
  noLan: 'No phone can join yet, and no other device reaches this computer. Let them join, and a code appears here that they scan.',
  letJoin: 'Let phones join',
  letNone: 'Let no phone join',
  noNetwork: 'This computer is not in a network, so no phone can reach it. Join a Wi-Fi, or switch on the phone’s hotspot '
    + 'and join that (it needs no internet); then let phones join again.',
  code: 'QR code: the page for phones',
  help: 'Help for phones',

  /** The status line in each state of the page. */
  states: {
    joining: 'Looking for the server…',
    outside: 'Not joined.',
    idle: 'Ready.',
    asking: 'May the page use the camera?',
    calling: 'Connecting…',
    live: 'Live.',
    frozen: 'Frozen. You can still pin.',
    reconnecting: 'Connecting again…',
    lost: 'The connection was lost.',
    ended: 'Stopped.',
  },
  /** A second sentence for some of the states. @type {Partial<Record<string, string>>} */
  stateMore: {
    asking: 'The browser asks you. If you allow it, the picture goes to the computer that serves this page.',
    calling: 'The first picture is on its way.',
  },

  serverEnded: 'The server ended the call.',
  /** Why the server ended a call, by code: what happened, and what to do. */
  ended: {
    'too-large': ['This camera’s picture is larger than the server accepts.', 'Choose another camera, then start again.'],
    'too-fast': ['This camera sends more pictures a second than the server accepts.', 'Choose another camera, then start again.'],
    'too-many-streams': ['This page sent more than one call may have.', 'Reload it, then start again.'],
    silent: ['No picture came from this device’s camera for a while, so the server ended the call.',
      'Check whether another app uses the camera, then start again.'],
    'server-ends': ['The server was stopped.', 'Start whycam on the computer, then start again here.'],
  },
  /** @param {string} why what happened; empty if unknown */
  again: (why) => `${why || 'The connection was lost.'} The page tries again by itself, also when the server restarts.`,

  fileDone: 'The file has ended.',
  watchAgain: 'Watch it again',

  /** @param {number} fps */
  fps: (fps) => `${fps} fps`,
  /** @param {string} time @param {boolean} measured */
  latency: (time, measured) => (measured ? time : `≈ ${time}`),
  /** @param {string} time @param {boolean} measured */
  latencyTold: (time, measured) => `${time}, ${measured ? 'measured' : 'estimated'}`,
  latencyTitle: 'From this device to the computer and back onto the screen',
  exact: 'exact',
  /** @param {string} age */
  carried: (age) => `carried, ${age} old`,
  noHeatmap: 'no heatmap',
  stalled: 'no camera picture',
  noPicture: 'no picture',
  /** @param {number} frames */
  dropped: (frames) => `${frames} dropped`,

  /** The names of the numbers that the chip opens. */
  details: {
    model: 'Model', map: 'Heatmap', inference: 'Model’s time', frame: 'Server’s time', latency: 'Camera to screen', dropped: 'Dropped',
    lost: 'Lost', recording: 'Recording',
  },
  /** @param {number} frames @param {number} all */
  framesOf: (frames, all) => `${frames} of ${all} frames`,
  /** Why the picture is bad. */
  badDay: {
    silent: 'No picture comes back. If this lasts, the page connects again by itself.',
    stalled: 'No picture comes from this device’s camera. Is another app using it, or is the network gone?',
    restarting: 'The model is restarting. Until then the picture has no heatmap.',
    /** @param {string} time */
    slowModel: (time) => `The model takes ${time} a frame; the heatmap follows the object meanwhile.`,
    /** @param {number} frames */
    losing: (frames) => `The network just lost ${frames} pictures. Go nearer to the Wi-Fi.`,
    /** @param {number} fps */
    fewFrames: (fps) => `Only ${fps} pictures a second come back: the computer or the network has too much to do.`,
    /** @param {string} time */
    late: (time) => `The picture is ${time} late: the computer or the network has too much to do.`,
  },

  /** @param {string} folder */
  recordingTo: (folder) => `Recording to ${folder} on the computer.`,
  notRecording: 'Nothing is recorded.',
  /** Why a recording stopped, by code. */
  recordingStopped: {
    'disk-full': 'The recording stopped: the computer’s disk is full. What was recorded is complete. Recording '
      + 'continues when there is room.',
    folder: 'Nothing is recorded: the recordings folder cannot be created. The computer’s log says why.',
    failed: 'The recording stopped: its files cannot be written. The computer’s log says why.',
  },

  problems: {
    refused: 'The camera is blocked for this page. Allow it in the browser’s site settings, then press the button again.',
    noCamera: 'The browser finds no camera. Plug one in and press the button again, or open a video file.',
    inUse: 'The camera is busy, most likely in another app or tab. Close it there, then press the button again.',
    cameraStopped: 'The camera stopped sending pictures. Check that it is still connected and allowed, then start again.',
    /** @param {string} detail */
    cameraOther: (detail) => `The camera did not start (${detail}). Try again, or open a video file.`,
    noCapture: 'This browser cannot send a video file (it lacks captureStream, as Safari does). Open the file in '
      + 'Chrome, Edge or Firefox, or use the camera.',
    /** @param {string} name */
    unreadableFile: (name) => `The browser cannot play ${name}. Choose an MP4 (H.264) or WebM file, or let whycam explain the film frame by frame.`,
    wrongRole: 'This device joined only to watch. Scan the code for phones that the computer shows.',
    /** @param {string} name @param {string[]} others two of the model's classes */
    unknownName: (name, [one, other]) => `The model has no class “${name}”. It has names such as ${one} or ${other}.`,
    noOtherCamera: 'The other camera did not start. Choose one in the list under More.',
    noPictureYet: 'There is no picture to save yet. Wait for the first one.',
    /** Why a command was refused, by code. */
    commands: {
      'not-a-command': 'The server did not understand this page. Reload it, then try again.',
      'unknown-key': 'The server does not know this yet: it is older than this page. Reload the page, then try again.',
      'wrong-value': 'The server did not accept this setting. Reload the page, then try again.',
      'no-recordings': 'This server does not record. Start it without --no-record.',
      'recording-off': 'The computer has switched off recording for all cameras.',
      'no-difference': 'This model’s file has no signed heatmap of this layer, of which a difference is made. Choose another layer, or '
        + 'export it again with --method signed beside others.',
      'too-many-commands': 'This page sent too many settings at once, and the server takes no more. Reload the page.',
      'no-teaching': 'This device cannot teach now: the model cannot learn, or the computer does not let phones teach.',
      full: 'This thing has all the examples that it can have.',
      'too-soon': 'The recording was switched a moment ago. Try again in a second.',
    },
  },
};

/** The projector, /watch. */
const wall = {
  title: 'whycam on the wall',
  join: 'Join with your phone',
  scan: 'Scan.\nPoint.\nSee.',
  scanHow: 'Scan the code with a phone’s camera, point it at something, and see here where the network looks.',
  nobody: 'No camera is live.',
  noLan: 'No phone can join yet. The camera page lets them join: *Let phones join*.',
  nobodyHow: 'As soon as a camera starts, its picture appears here.',
  ownCamera: 'Use this computer’s camera',
  recordings: 'Recordings',
  explainedPicture: 'The explained picture',
  cameraPicture: 'The camera’s picture',
  labels: 'The five most probable classes; the keys 1 to 5 pin one',
  /** @param {string} labels */
  enlarge: (labels) => (labels ? `Enlarge: ${labels}` : 'Enlarge this picture'),
  /** The probability with and without the evidence. @param {string} before @param {string} after */
  without: (before, after) => `${before} → ${after}`,
  signs: {
    frozen: 'Frozen',
    hidden: 'Evidence hidden',
    hiding: 'Hiding the evidence…',
    stalled: 'No camera picture',
    restarting: 'The model is restarting',
    /** @param {string} age */
    carried: (age) => `Heat ${age} old`,
    recording: 'Recording',
    taught: 'What we taught',
    own: 'What it knew',
    /** @param {string} giver a phone's name, empty if it has none @param {string} name @param {number} count */
    teaches: (giver, name, count) => `${giver ? `${giver} shows` : 'Shows'}: ${name}, ${count}`,
  },
  controls: 'Controls',
  all: 'All',
  side: 'Side by side',
  freeze: 'Freeze',
  hide: 'Hide evidence',
  qr: 'Code',
  full: 'Full screen',
  help: 'Keys',
  helpTitle: 'Keys',
  /** @type {[string, string][]} */
  helpKeys: [
    ['1 … 5', 'pin this class, or release it; at most two'],
    ['0', 'release all: back to the best class'],
    ['f', 'freeze the picture, or continue'],
    ['e', 'hide the evidence: cover the hottest place and see how the probability changes'],
    ['s', 'show the camera beside the explained picture'],
    ['q', 'the code for phones'],
    ['d', 'the difference of two pinned classes: what speaks for the one rather than for the other'],
    ['m', 'choose another model or heatmap'],
    ['← →', 'the next phone'],
    ['Esc', 'all phones'],
    ['w', 'full screen'],
    ['h', 'this list'],
  ],
  models: 'Choose a model',
  oneModel: 'This computer has one model only. “whycam export” makes others.',
  pinTwo: 'A difference is of two classes. Pin two of them first.',
  noDifference: 'This model’s file has no signed heatmap of this layer, of which a difference is made. “whycam export … --method signed” '
    + 'adds one.',
  /** @param {number} count */
  classes: (count) => `${count} classes`,
  keysOn: 'Keyboard shortcuts',
  close: 'Close',
  onlyHost: 'You are watching. Only the computer that runs whycam and the phone itself can change the picture.',
  phonesSend: 'This device joined with the code for phones: it sends its camera and sees its own picture on the camera page.',
  whichOne: 'Several phones are live. Click one of them first.',
  noFullScreen: 'The browser does not allow full screen here. Try its own key, usually F11.',
  silent: 'No picture comes. The page tries again by itself.',
  serverGone: 'The server does not answer. The page tries again by itself.',
};

/** The recordings, /recordings. */
const recordings = {
  title: 'Recordings',
  pages: 'Pages',
  toCamera: 'Camera',
  toWall: 'Projector',
  nothing: 'Nothing is recorded yet.',
  nothingHow: 'What is recorded appears here while it runs.',
  live: 'Live',
  liveHow: 'This session is being recorded. When it ends, its films open here.',
  /** @param {number} count */
  parts: (count) => `${count} parts`,
  partsLabel: 'Parts of this session',
  /** @param {number} number @param {string} time @param {string} length */
  part: (number, time, length) => `Part ${number} · ${time} · ${length}`,
  cutOff: 'cut off',
  early: 'stopped early',
  /** Why a recording ended before its session did, by code. */
  ended: {
    'cut-off': 'cut off: the computer or the server stopped; the films end there',
    'film-damaged': 'the film breaks off; what came before is explained',
    'disk-full': 'stopped early: the disk was full',
    failed: 'stopped early: its files could not be written',
  },
  mostly: 'What it mostly saw',
  remove: 'Delete',
  /** @param {string} time */
  removeOne: (time) => `Delete the recording of ${time}`,
  /** @param {string} time */
  removed: (time) => `The recording of ${time} is deleted. You can undo this for ten minutes.`,
  undo: 'Undo',
  tooLate: 'It is too late: the recording is gone for good.',
  gone: 'There is no such recording, or it was deleted. These are all recordings.',
  ofThisDevice: 'These are the recordings that this device made. The computer that runs whycam has all.',
  onlyHost: 'Recordings are shown on the computer that runs whycam, and on the phone that made them.',

  cameraFilm: 'The camera’s film',
  explainedFilm: 'The explained film',
  drawnNow: 'Camera, with the heatmap drawn here:',
  drawnThen: 'As it was explained then',
  play: 'Play',
  pause: 'Pause',
  rate: 'Speed',
  timeline: 'Position; the lines are the probabilities of the classes',
  /** @param {string} time @param {string} whole @param {string} best */
  moment: (time, whole, best) => `${time} of ${whole}${best ? `, ${best}` : ''}`,
  report: 'Open the report',
  over: 'Classes over time',
  overHow: 'Press a class to see its line. The heat is drawn into the film: whycam did not keep the original, so it cannot be '
    + 'drawn differently here.',
  ask: 'Where is …?',
  askHow: 'Press a class to see its heatmap, two to compare them. The model does not run again: the sidecar file holds the '
    + 'five best classes of each frame and the pinned ones.',
  look: 'Look',
  asThen: 'As it was then',
  own: 'Weak classes too: full heat is each map’s own maximum',
  keys: 'Space plays, ← and → move by a second, comma and full stop by a frame, Esc goes back.',
  keep: 'Files',
  all: 'Everything (ZIP)',

  /** @param {number} frames */
  reading: (frames) => `reading the heatmaps, ${frames} frames so far…`,
  noFrames: 'no heatmap was stored',
  noneYet: 'no heatmap at this moment',
  noSidecar: 'the sidecar with the heatmaps is missing',
  /** @param {string} label */
  notKept: (label) => `${label} is not among the five best here`,
  /** @param {string} why */
  sidecarDamaged: (why) => `The sidecar with the heatmaps cannot be read (${why}). The films still play.`,
  /** @param {string} film */
  unplayable: (film) => `The browser cannot play ${film}. Download it and open it with another program, such as VLC.`,
  noFilm: 'This recording has no film: it ended before the first picture.',
};

const help = {
  title: 'Help for phones',
  back: 'Back to the camera',
  warnTitle: 'Why the browser warns',
  warn: 'Browsers allow the camera on encrypted pages only. The computer that runs whycam has no name on the internet, '
    + 'so it made its own certificate, and the browser cannot check whose it is. Accept the warning once, or install '
    + 'the certificate.',
  iphoneSafari: 'iPhone and iPad (Safari)',
  passIphone: [
    '“This connection is not private”: tap *Show Details*.',
    'Tap *visit this website* at the end of the text, then *Visit Website*.',
    'When the page asks for the camera, tap *Allow*.',
  ],
  androidChrome: 'Android (Chrome)',
  passAndroid: [
    '“Your connection is not private”: tap *Advanced*.',
    'Tap *Proceed to …* at the end of the text.',
    'When the page asks for the camera, tap *While using the app* or *Allow*.',
  ],
  notJoined: 'If the page then says that this device has not joined, scan the code once more.',
  limitsTitle: 'What accepting the warning does not protect from',
  limits: 'The video is encrypted, so others in the same Wi-Fi cannot watch it. But if you accept the warning, the browser '
    + 'does not check *who* is at the other end: an attacker in the same network who pretends to be this computer could '
    + 'show you the same warning, take the code, and see your camera. At home that is unlikely. In a network that you '
    + 'do not trust, use the phone’s own hotspot, install the certificate in a network that you trust, or start whycam '
    + 'with a certificate that browsers know (`--cert` and `--key`).',
  installTitle: 'Install the certificate for good',
  install: 'Do this in a network that you trust. It is the certificate of this computer’s own authority: it can vouch '
    + 'for `localhost`, for names that end in `.local`, for private addresses and for the addresses this computer had '
    + 'when it was made, and for nothing else on the internet. Remove it when you no longer need whycam.',
  download: 'Download whycam.crt',
  iphone: 'iPhone and iPad',
  installIphone: [
    'Open it with Safari (another browser only stores the file) and *Allow* the profile.',
    'Settings › *Profile Downloaded* (or General › VPN & Device Management) › whycam › *Install*.',
    'Settings › General › About › *Certificate Trust Settings*: switch whycam on.',
  ],
  android: 'Android',
  installAndroid: [
    'Download it.',
    'Settings › Security & privacy › More › Encryption & credentials › Install a certificate › *CA certificate* (search '
      + 'the settings for “CA certificate”; the path differs between phones).',
    'Choose *whycam.crt*. Android then says that the network may be monitored; it means this certificate. Chrome uses it '
      + 'from then on; Firefox has its own list.',
  ],
  teachTitle: 'Teach it your own things',
  teach: 'While the picture runs, *Teach* makes classes of your own things. On a phone it appears when the computer allows it '
    + '(*Phones may teach*). All devices teach the same classes.',
  teachSteps: [
    'Type a name, and press *Add*. *Something else* is a class for all that is none of your things.',
    'Hold the thing’s button for three seconds while the camera sees it from several sides. Who cannot hold presses it once to '
      + 'begin and once more to stop.',
    'From the second thing on, the picture says which one it sees, and the heat where it looks.',
  ],
  teachWell: 'Show each thing twice, in two places: then the page can say how often it is right, and it learns the thing and '
    + 'not the table below it. What is taught is gone when whycam ends; the computer can save it as a model.',
  troubleTitle: 'The page does not open, or no picture comes',
  trouble: [
    '*Another network.* The phone and the computer must be in the same one. Mobile data does not count.',
    '*A Wi-Fi that keeps its devices apart*, as guest and school networks often do. Switch on the phone’s hotspot, join '
      + 'it with the computer, then restart whycam and scan the new code. It needs no internet: the video stays '
      + 'between the two. (Other programs of the computer may use mobile data; switch it off on the phone if you pay '
      + 'for it.)',
    '*A firewall on the computer.* It has to let in the port that the page’s address shows (TCP), and UDP for the '
      + 'video. `whycam serve --lan --udp-ports 50000-50100` limits the UDP ports to those that you open.',
    '*Another browser than Safari on an iPhone.* Allow it to look for devices: Settings › Privacy & Security › *Local '
      + 'Network*.',
    '*A VPN* on the phone or on the computer. Switch it off while you use whycam.',
  ],
  doctor: 'On the computer, `whycam doctor` lists its addresses and what else is wrong.',
};

export const english = { common, phone, wall, recordings, help };
