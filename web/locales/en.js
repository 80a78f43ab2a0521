// @ts-check
/**
 * Every text of the pages in English; each other language is a file like this one with the same keys, which tsc checks.
 *
 * Errors are sentences that say what happened and what to do next. `*strong*` and `` `code` `` are marked so. The labels
 * stay ImageNet's English ones in every language: they are the model's, not the page's.
 */

const common = {
  brand: 'whycam',
  cancel: 'Cancel',
  labelsAreEnglish: 'The names are ImageNet’s, in English.',
  pinned: 'held',
  opacity: 'Heat',
  colormap: 'Colours',

  problems: {
    serverGone: 'The server does not answer. Check that whycam is running and that this device is in its network, '
      + 'then try again.',
    notJoined: 'This device has not joined yet, or its code is an old one. Scan the code that the computer shows now.',
    insecure: 'Browsers give the camera to secure pages only. Open this page with https://, or as http://localhost on '
      + 'the computer that serves it.',
    noCalls: 'This browser cannot make live calls (WebRTC is missing or switched off). Use a current Chrome, Edge, '
      + 'Firefox or Safari.',
    badAnswer: 'The server’s answer was not understood. Reload the page, then try again.',
    noPath: 'The server answered, but no connection came about. Check that a firewall or VPN does not stop UDP between '
      + 'this device and the server, then try again.',
    noPicture: 'The connection stands, but no picture came back. Look at the server’s log, then try again.',
    connectionLost: 'The connection broke off. Check that whycam is running and that this device is in its network, '
      + 'then start again.',
    serverClosed: 'The server ended the call. Check that it is still running, then start again.',
    /** The server's answers, by their status; where it depends on what was asked, by that too. */
    refusals: {
      400: 'The server did not understand this page. Reload it, then try again.',
      'call 400': 'This browser and the server know no video format in common (H.264 or VP8). Use a current Chrome, Edge, '
        + 'Firefox or Safari.',
      'watch 400': 'This browser does not know the format of this camera’s picture. Use a current Chrome, Edge, Firefox or '
        + 'Safari.',
      401: 'This is an old code. Scan the one that the computer shows now.',
      403: 'This device’s code is for something else. Scan the right one, which the computer shows.',
      404: 'The server does not know this, or not any more. Reload the page.',
      'watch 404': 'This camera is not live any more.',
      'command 404': 'This camera is not live any more.',
      408: 'The network was too slow for this. Go nearer to the Wi-Fi, then try again.',
      409: 'The recording cannot be deleted or brought back now: it is still being written, or another program uses its files. Try again later.',
      413: 'This browser offers more ways to connect than the server takes. Switch off VPNs and virtual networks on this '
        + 'device, then try again.',
      421: 'The server does not go by this address. Scan the code that the computer shows now.',
      429: 'This device calls too often. Wait a minute, then try again.',
      'join 429': 'Too many wrong codes came from this device. Wait a minute, then scan the code that the computer shows '
        + 'now.',
      431: 'This browser sends more with each request than the server takes. Delete this page’s cookies, then scan the code '
        + 'again.',
      500: 'The server failed; its log has the details. Try again in a moment.',
      503: 'The server takes no more cameras now: it has all that it can serve, or this device all that one may have. End '
        + 'one of them, then try again.',
      'watch 503': 'The server has all the viewers that it can serve. Try again later.',
    },
    /** What there are no words for. @param {string} sentence the server's own, in English @param {number} [status] */
    serverSays: (sentence, status) => sentence || `The server refused this (HTTP ${status}). Try again in a moment.`,
    /** @param {string} detail */
    unexpected: (detail) => `Something went wrong in the page (${detail}). Reload it, then try again.`,
  },
};

const phone = {
  picture: 'The explained picture',
  panel: 'What the network sees',
  labels: 'The five most probable classes; press one to hold the heatmap on it',
  headline: 'See what a neural network looks at.',
  pitch: 'Point the camera at something. The warm places are the ones that decide its name.',
  promise: 'The video goes to the computer that serves this page and nowhere else. That computer may record it.',
  start: 'Start the camera',
  startAgain: 'Start again',
  openFile: 'Open a video file',
  head: 'The call',
  stop: 'End the call',
  record: 'Record',
  recorded: 'Recording',
  unrecorded: 'Not recording',
  freeze: 'Freeze',
  hide: 'Hide evidence',
  hideTitle: 'Covers the hottest place and asks the model again',
  save: 'Save',
  more: 'More',
  share: 'Share the picture',
  helpShort: 'Help',
  hint: 'Tap a name to keep the heatmap on it, two to compare them.',
  hintPinned: 'Tap it again to free it.',
  tip: 'Tap a name to hold it. Tap the picture to see the camera’s.',
  peek: 'The camera’s picture alone',
  peeking: 'Camera, without the heatmap',
  frozen: 'Frozen. You can ask on.',
  flip: 'Turn to the other camera',
  torch: 'Light',
  zoom: 'Zoom',
  /** @param {string} factor */
  zoomBy: (factor) => `${factor}×`,
  cameras: 'Which camera',
  /** @param {number} number */
  cameraNumber: (number) => `Camera ${number}`,
  search: 'Hold any class by its name',
  searchExample: 'Where is the … banana?',
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
  phonesMore: 'The phone does not get here?',
  /** @param {string} port */
  phonesUnreachable: (port) => 'Is the phone in the same network? A guest or school Wi-Fi may keep devices apart: use '
    + 'the phone’s hotspot (it needs no internet), then start whycam again: its address is new. '
    + `A firewall must let in TCP ${port} and UDP (--udp-ports narrows which).`,
  noLan: 'Phones can join when whycam is started with `whycam serve --lan`.',
  noNetwork: 'This computer is in no network, so no phone can reach it. Join a Wi-Fi, or switch on the phone’s hotspot '
    + 'and join that (it needs no internet); then start whycam again.',
  code: 'QR code: the page for phones',
  help: 'Help for phones',

  /** What each state of the page is called in the status line. */
  states: {
    joining: 'Looking for the server…',
    outside: 'Not joined.',
    idle: 'Ready.',
    asking: 'May the page use the camera?',
    calling: 'Connecting…',
    live: 'Live.',
    frozen: 'Frozen. You can ask on.',
    reconnecting: 'Connecting again…',
    lost: 'The connection was lost.',
    ended: 'Stopped.',
  },
  /** One more sentence for the states that need it. @type {Partial<Record<string, string>>} */
  stateMore: {
    asking: 'The browser asks you. Allow it, and the picture goes to the computer that serves this page.',
    calling: 'The first picture is on its way.',
  },

  serverEnded: 'The server ended the call.',
  /** Why the server ended a call, by its code: what happened, and what to do. */
  ended: {
    'too-large': ['This camera’s picture is larger than the server takes.', 'Choose another camera, then start again.'],
    'too-fast': ['This camera sends more pictures a second than the server takes.', 'Choose another camera, then start again.'],
    'too-many-streams': ['This page sent more than one call may have.', 'Reload it, then start again.'],
    silent: ['No picture came from this device’s camera for a while, so the server ended the call.',
      'See whether another app uses the camera, then start again.'],
    'server-ends': ['The server was stopped.', 'Start whycam on the computer, then start again here.'],
  },
  /** @param {string} why what happened, as far as it is known */
  again: (why) => `${why || 'The connection broke off.'} The page tries again by itself, also when the server starts anew.`,

  fileDone: 'The file has ended.',
  /** @param {string} folder */
  keptIn: (folder) => `The recording is in ${folder} on the computer that serves this page.`,

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

  /** The chip's longer words. */
  details: {
    model: 'Model', inference: 'Model’s time', frame: 'Server’s time', latency: 'Camera to screen', dropped: 'Dropped',
    lost: 'Lost', recording: 'Recording',
  },
  /** @param {number} frames @param {number} all */
  framesOf: (frames, all) => `${frames} of ${all} frames`,
  /** Plain words on a bad day. */
  badDay: {
    silent: 'No picture comes back. If it stays away, the page calls again by itself.',
    stalled: 'No picture comes from this device’s camera. Is another app using it, or is the network gone?',
    restarting: 'The model starts again; until then the picture goes on without a heatmap.',
    /** @param {string} time */
    slowModel: (time) => `The model takes ${time} a frame; the heatmap follows the object meanwhile.`,
    /** @param {number} frames */
    losing: (frames) => `The network lost ${frames} pictures just now. Go nearer to the Wi-Fi.`,
    /** @param {number} fps */
    fewFrames: (fps) => `Only ${fps} pictures a second come back: the computer or the network has too much to do.`,
    /** @param {string} time */
    late: (time) => `The picture comes ${time} late: the computer or the network has too much to do.`,
  },

  /** @param {string} folder */
  recordingTo: (folder) => `Recording to ${folder} on the computer.`,
  notRecording: 'Nothing is recorded.',
  /** Why a recording stopped, by its code. */
  recordingStopped: {
    'disk-full': 'The recording stopped: the computer’s disk is full. What was recorded is complete, and it goes on when '
      + 'there is room.',
    folder: 'Nothing is recorded: the folder for it cannot be made. The computer’s log says why.',
    failed: 'The recording stopped: its files cannot be written. The computer’s log says why.',
  },

  problems: {
    refused: 'The camera is blocked for this page. Allow it in the browser’s site settings, then press the button again.',
    noCamera: 'The browser finds no camera. Plug one in and press the button again, or open a video file.',
    inUse: 'The camera is busy, most likely in another app or tab. Close that one, then press the button again.',
    cameraStopped: 'The camera stopped sending pictures. Check that it is still connected and allowed, then start again.',
    /** @param {string} detail */
    cameraOther: (detail) => `The camera did not start (${detail}). Try again, or open a video file.`,
    noCapture: 'This browser cannot send a video file (it lacks captureStream, as Safari does). Open the file in '
      + 'Chrome, Edge or Firefox, or use the camera.',
    /** @param {string} name */
    unreadableFile: (name) => `The browser cannot play ${name}. Choose an MP4 (H.264) or WebM file, or explain it on the computer: whycam process ${name}`,
    wrongRole: 'This device joined to watch. Scan the code for phones, which the computer shows.',
    /** @param {string} name */
    unknownName: (name) => `No class is called “${name}”. Try an English name, such as banana or cup.`,
    noOtherCamera: 'The other camera did not start. Choose one in the list under More.',
    noPictureYet: 'There is no picture to save yet. Wait for the first one.',
    /** Why a command was refused, by its code. */
    commands: {
      'not-a-command': 'The server did not understand this page. Reload it, then try again.',
      'unknown-key': 'The server does not know this yet: it is older than this page. Reload the page, then try again.',
      'wrong-value': 'The server did not take this setting. Reload the page, then try again.',
      'no-recordings': 'This server does not record. Start it without --no-record.',
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
  nobody: 'Nobody is live.',
  nobodyHow: 'As soon as a camera starts, its picture appears here by itself.',
  ownCamera: 'Use this computer’s camera',
  recordings: 'Recordings',
  explainedPicture: 'The explained picture',
  cameraPicture: 'The camera’s picture',
  labels: 'The five most probable classes; the keys 1 to 5 hold the heatmap on one',
  /** @param {string} labels */
  enlarge: (labels) => (labels ? `Enlarge: ${labels}` : 'Enlarge this picture'),
  /** The probability with the evidence and without it. @param {string} before @param {string} after */
  without: (before, after) => `${before} → ${after}`,
  signs: {
    frozen: 'Frozen',
    hidden: 'Evidence hidden',
    hiding: 'Hiding the evidence…',
    stalled: 'No camera picture',
    restarting: 'The model starts again',
    /** @param {string} age */
    carried: (age) => `Heat ${age} old`,
    recording: 'Recording',
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
    ['1 … 5', 'hold the heatmap on this class; once more frees it; two may be held'],
    ['0', 'back to the best class'],
    ['f', 'freeze the picture, and on again'],
    ['e', 'hide the evidence: cover the hottest place and see what becomes of the label'],
    ['s', 'the camera’s picture beside the explained one'],
    ['q', 'the code for phones'],
    ['← →', 'the next phone'],
    ['Esc', 'all phones'],
    ['w', 'full screen'],
    ['h', 'this list'],
  ],
  keysOn: 'Keyboard shortcuts',
  close: 'Close',
  onlyHost: 'You are watching. Only the computer that runs whycam, and the phone itself, change the picture.',
  phonesSend: 'This device joined with the code for phones: it sends its camera, and sees its own picture on that page.',
  whichOne: 'Several phones are live. Click the one that is meant first.',
  noFullScreen: 'The browser does not let the page fill the screen. Try its own key, most often F11.',
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
  nothingHow: 'Each session is recorded while it runs, unless its red button is switched off. It then stands here.',
  live: 'Live',
  liveHow: 'This session is being recorded. When it ends, its films open here by themselves.',
  /** @param {number} count */
  parts: (count) => `${count} parts`,
  partsLabel: 'Parts of this session',
  /** @param {number} number @param {string} time @param {string} length */
  part: (number, time, length) => `Part ${number} · ${time} · ${length}`,
  cutOff: 'cut off',
  early: 'stopped early',
  /** Why a recording ended before its session did, by its code. */
  ended: {
    'cut-off': 'cut off: the computer or the server stopped, the films go up to there',
    'disk-full': 'stopped early: the disk was full',
    failed: 'stopped early: its files could not be written',
  },
  mostly: 'What it mostly saw',
  remove: 'Delete',
  /** @param {string} time */
  removeOne: (time) => `Delete the recording of ${time}`,
  /** @param {string} time */
  removed: (time) => `The recording of ${time} is deleted. For ten minutes it can be had back.`,
  undo: 'Undo',
  tooLate: 'It is too late: the recording is gone for good.',
  gone: 'There is no such recording, or not any more. These are the ones there are.',
  onlyHost: 'The recordings are shown on the computer that runs whycam: open this page there.',

  cameraFilm: 'The camera’s film',
  explainedFilm: 'The explained film',
  drawnNow: 'Camera, with the heat drawn here:',
  drawnThen: 'As it was explained then',
  play: 'Play',
  pause: 'Pause',
  rate: 'Speed',
  timeline: 'Moment; the lines are the probabilities of the classes',
  /** @param {string} time @param {string} whole @param {string} best */
  moment: (time, whole, best) => `${time} of ${whole}${best ? `, ${best}` : ''}`,
  ask: 'Where is …?',
  askHow: 'Press a class: the heat then answers for it, without the model; press two to compare them. The sidecar keeps the '
    + 'five best classes of each frame and the held ones.',
  look: 'Look',
  asThen: 'As it was then',
  own: 'Weak classes too: each map’s own maximum is full heat',
  keys: 'Space plays, ← and → move by a second, comma and full stop by a frame, Esc goes back.',
  keep: 'Files',
  all: 'Everything (ZIP)',

  /** @param {number} frames */
  reading: (frames) => `reading the heatmaps, ${frames} frames so far…`,
  noFrames: 'no heatmap was kept',
  noneYet: 'no heatmap at this moment',
  noSidecar: 'the sidecar with the heatmaps is missing',
  /** @param {string} label */
  notKept: (label) => `${label} is not among the five best here`,
  /** @param {string} why */
  sidecarDamaged: (why) => `The sidecar with the heatmaps cannot be read (${why}). The films play all the same.`,
  /** @param {string} film */
  unplayable: (film) => `The browser cannot play ${film}. Download it and open it with another program, such as VLC.`,
  noFilm: 'This recording has no film: it was ended before the first picture.',
};

const help = {
  title: 'Help for phones',
  back: 'Back to the camera',
  warnTitle: 'Why the browser warns',
  warn: 'A browser gives the camera to encrypted pages only. The computer that runs whycam has no name on the internet, '
    + 'so it wrote its certificate itself, and the browser cannot tell whose it is. Pass the warning once, or install '
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
  limitsTitle: 'What a passed warning does not protect from',
  limits: 'The video is encrypted, so nobody in the same Wi-Fi can listen in. But when you pass the warning, nobody '
    + 'checks *who* is at the other end: somebody in the same network who actively pretends to be this computer could '
    + 'show you the same warning, take the code, and see your camera. At home that is unlikely. In a network that you '
    + 'do not trust, use the phone’s own hotspot, install the certificate in a network that you trust, or start whycam '
    + 'with a certificate that browsers know (`--cert` and `--key`).',
  installTitle: 'Install the certificate for good',
  install: 'Do this in a network that you trust. It is the certificate of this computer’s own authority: it can vouch '
    + 'for `localhost`, for names that end in `.local`, for private addresses and for the addresses this computer had '
    + 'when it was made, and for nothing else on the internet. Remove it when you need whycam no longer.',
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
      + 'the settings for “CA certificate”; the way there differs).',
    'Choose *whycam.crt*. Android will say that the network may be monitored; it means this certificate. Chrome uses it '
      + 'from then on; Firefox keeps a list of its own.',
  ],
  troubleTitle: 'The page does not open, or no picture comes',
  trouble: [
    '*Another network.* Phone and computer have to be in the same one. Mobile data does not count.',
    '*A Wi-Fi that keeps its devices apart*, as guest and school networks often do. Switch on the phone’s hotspot, join '
      + 'it with the computer, then start whycam again and scan the new code. It needs no internet: the video stays '
      + 'between the two. (Other programs of the computer may use mobile data; switch it off on the phone if you pay '
      + 'for it.)',
    '*A firewall on the computer.* It has to let in the port that the page’s address shows (TCP), and UDP for the '
      + 'video. `whycam serve --lan --udp-ports 50000-50100` narrows the UDP ports to those that you open.',
    '*Another browser than Safari on an iPhone.* Allow it to look for devices: Settings › Privacy & Security › *Local '
      + 'Network*.',
    '*A VPN* on the phone or on the computer. Switch it off while you use whycam.',
  ],
  doctor: 'On the computer, `whycam doctor` lists its addresses and what else is wrong.',
};

export const english = { common, phone, wall, recordings, help };
