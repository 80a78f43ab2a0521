// @ts-check
/** Alle Texte der Seiten auf Deutsch; die Schlüssel gibt en.js vor. */

/** @typedef {typeof import('./en.js').english} Words */

/** @type {Words['common']} */
const common = {
  brand: 'whycam',
  cancel: 'Abbrechen',
  labelsAreEnglish: 'Die Namen sind die des Modells; die von ImageNet sind englisch.',
  pinned: 'angeheftet',
  eachByItself: 'Jede Klasse wird für sich beurteilt: Die Balken ergeben zusammen nicht 100 %.',
  verdicts: { guess: 'Unsicher, vielleicht', nothing: 'Nichts hier spricht für' },
  opacity: 'Stärke',
  colormap: 'Farben',
  model: 'Modell',
  warning: {
    title: 'Der Browser des Handys warnt einmal.',
    how: 'whycam hat sein Zertifikat selbst gemacht. Zweimal tippen führt weiter:',
    systems: [
      { name: 'iPhone', steps: ['Details einblenden', 'diese Website besuchen'] },
      { name: 'Android', steps: ['Erweitert', 'Weiter zu …'] },
    ],
  },
  modelIs: (name) => `Das Modell ist jetzt ${name}.`,
  modelLoads: (name) => `${name} wird geladen; das Bild geht weiter.`,
  maps: {
    method: 'Methode',
    layer: 'Schicht',
    methods: {
      'grad-cam': 'Grad-CAM', hirescam: 'HiResCAM', 'grad-cam++': 'Grad-CAM++', 'xgrad-cam': 'XGrad-CAM',
      'layer-cam': 'LayerCAM', 'eigen-cam': 'Eigen-CAM', negative: 'Was dagegen spricht', 'input-x-gradient': 'Eingabe × Gradient',
      'integrated-gradients': 'Integrated Gradients',
    },
    coarse: 'grob',
    fine: 'fein',
    is: (name) => `Die Heatmap ist jetzt ${name}.`,
    loads: 'Die andere Heatmap wird geladen; das Bild geht weiter.',
  },
  difference: {
    name: 'Unterschied',
    title: 'Was eher für die eine der beiden angehefteten Klassen spricht als für die andere',
    colours: ['Orange', 'Blau'],
    speaksFor: (first, second) => `spricht eher für ${first} als für ${second}`,
    otherWay: 'umgekehrt',
  },

  problems: {
    serverGone: 'Der Server antwortet nicht. Sieh nach, ob whycam läuft und ob dieses Gerät in seinem Netz ist, und '
      + 'versuch es dann noch einmal.',
    serverSilent: 'Der Server antwortet nicht.',
    notJoined: 'Dieses Gerät ist noch nicht angemeldet, oder sein Code ist alt. Scanne den Code, den der Computer '
      + 'jetzt zeigt.',
    insecure: 'Browser erlauben die Kamera nur auf sicheren Seiten. Öffne diese Seite mit https:// oder, auf dem Computer, '
      + 'der sie anbietet, als http://localhost.',
    noCalls: 'Dieser Browser kann keine Live-Verbindung aufbauen (WebRTC fehlt oder ist abgeschaltet). Nimm einen '
      + 'aktuellen Chrome, Edge, Firefox oder Safari.',
    badAnswer: 'Die Antwort des Servers ist unverständlich. Lade die Seite neu und versuch es dann noch einmal.',
    noNetwork: 'Dieser Computer ist in keinem Netz, und dann senden Browser kein Video, auch nicht an diesen Computer '
      + 'selbst. Verbinde ihn mit irgendeinem Netz, etwa dem Hotspot eines Handys (Internet braucht es nicht), und starte '
      + 'dann neu.',
    noCandidate: 'Dieser Browser nennt keinen Netzweg für Video. Schalte die Erweiterung, die Einstellung oder das VPN '
      + 'aus, das WebRTC sperrt, oder nimm einen anderen Browser, und starte dann neu.',
    noPath: 'Der Server hat geantwortet, aber es kam keine Verbindung zustande. Sieh nach, ob eine Firewall oder ein '
      + 'VPN zwischen diesem Gerät und dem Server UDP aufhält, und versuch es dann noch einmal.',
    noPicture: 'Dieses Gerät ist verbunden, aber es kam kein Bild zurück. Sieh in das Protokoll des Servers und versuch es '
      + 'dann noch einmal.',
    connectionLost: 'Die Verbindung ist abgebrochen. Sieh nach, ob whycam läuft und ob dieses Gerät in seinem Netz '
      + 'ist, und starte dann neu.',
    serverClosed: 'Der Server hat die Verbindung beendet. Sieh nach, ob er noch läuft, und starte dann neu.',
    refusals: {
      400: 'Der Server hat diese Seite nicht verstanden. Lade sie neu und versuch es dann noch einmal.',
      'call 400': 'Dieser Browser und der Server haben kein gemeinsames Videoformat (H.264 oder VP8). Nimm einen '
        + 'aktuellen Chrome, Edge, Firefox oder Safari.',
      'watch 400': 'Dieser Browser kann das Videoformat dieser Kamera nicht abspielen. Nimm einen aktuellen Chrome, Edge, '
        + 'Firefox oder Safari.',
      401: 'Das ist ein alter Code. Scanne den, den der Computer jetzt zeigt.',
      403: 'Der Code dieses Geräts erlaubt das nicht. Scanne den Code, den der Computer zeigt.',
      404: 'Das hat der Server nicht oder nicht mehr. Lade die Seite neu.',
      'watch 404': 'Diese Kamera ist nicht mehr live.',
      'command 404': 'Diese Kamera ist nicht mehr live.',
      'door 409': 'Dieser Computer ist in keinem Netz, also erreicht ihn kein Handy. Verbinde ihn mit einem WLAN, oder schalte '
        + 'am Handy den Hotspot ein und verbinde ihn damit (das braucht kein Internet); lass dann die Handys noch einmal mitmachen.',
      'door 503': 'Die Tür für Handys lässt sich nicht öffnen. Vielleicht benutzt ein anderes Programm, etwa ein zweites whycam, '
        + 'ihren Port: Beende es, oder starte whycam mit einem anderen --lan-port.',
      'teach 400': 'Der Computer nimmt diesen Namen nicht: Er ist leer, zu lang oder schon vergeben. Wähl einen anderen.',
      'teach 403': 'Nur der Computer, auf dem whycam läuft, lässt Handys anlernen, und das tut er gerade nicht.',
      'teach 404': 'Das wird nicht mehr angelernt: Jemand hat es entfernt.',
      'teach 409': 'Das geht jetzt nicht: Noch ist nichts angelernt, es gibt nichts zurückzunehmen, oder es ist schon so viel '
        + 'angelernt, wie geht.',
      'teach 503': 'Das Modell startet neu. Versuch es gleich noch einmal.',
      'example 403': 'Nur das Handy, von dem dieses Beispiel kommt, kann es entfernen, und der Computer, auf dem whycam läuft.',
      'example 404': 'Dieses Beispiel ist schon weg.',
      'taught 400': 'So kann kein Modell heißen. Nimm Buchstaben, Ziffern und Bindestriche.',
      'taught 409': 'Ein Modell heißt schon so, oder noch ist nichts angelernt. Wähl einen anderen Namen.',
      'film 403': 'Dieser Computer nimmt von diesem Gerät keine Filme an.',
      'film 404': 'Dieser Film ist nicht mehr in der Liste.',
      'film 408': 'Der Film kommt zu langsam an. Geh näher ans WLAN und wähl ihn noch einmal.',
      'film 409': 'Der Film wurde abgebrochen.',
      'film 413': 'Der Film ist größer, als der Server annimmt. Erklär ihn auf dem Computer: whycam process',
      'film 503': 'Es warten so viele Filme, wie warten können. Wähl ihn noch einmal, wenn einer fertig ist.',
      'film 507': 'Der Datenträger hat keinen Platz für den Film und das Ergebnis. Lösch Aufnahmen und wähl ihn noch einmal.',
      'model 403': 'Nur der Computer, auf dem whycam läuft, kann das Modell wählen.',
      'model 404': 'Dieses Modell oder diese Heatmap ist nicht mehr auf dem Computer. Wähle ein anderes.',
      'model 409': 'Das Modell wird gerade gewechselt. Versuch es noch einmal, wenn das fertig ist.',
      'model 422': 'Die Datei dieses Modells lässt sich nicht benutzen: Sie ist beschädigt oder nicht für whycam gemacht. Das '
        + 'Modell bleibt, wie es war; das Protokoll des Computers sagt mehr.',
      'model 503': 'Dieses Modell startet nicht; vielleicht reicht der Speicher nicht. Das Modell bleibt, wie es war; das '
        + 'Protokoll des Computers sagt mehr.',
      408: 'Das Netz war zu langsam. Geh näher an den WLAN-Router und versuch es dann noch einmal.',
      409: 'Die Aufnahme lässt sich gerade nicht löschen oder zurückholen: Sie wird noch geschrieben, oder ein '
        + 'anderes Programm benutzt ihre Dateien. Versuch es später noch einmal.',
      413: 'Dieser Browser bietet mehr Netzadressen an, als der Server annimmt. Schalte auf diesem Gerät VPNs und '
        + 'virtuelle Netze ab und versuch es dann noch einmal.',
      421: 'Das ist keine Adresse des Servers. Scanne den Code, den der Computer jetzt zeigt.',
      429: 'Dieses Gerät verbindet sich zu oft. Warte eine Minute und versuch es dann noch einmal.',
      'join 429': 'Von diesem Gerät kamen zu viele falsche Codes. Warte eine Minute und scanne dann den Code, den der '
        + 'Computer jetzt zeigt.',
      431: 'Dieser Browser schickt mit jeder Anfrage mehr, als der Server annimmt. Lösche die Cookies dieser Seite und '
        + 'scanne den Code dann noch einmal.',
      500: 'Im Server gab es einen Fehler; sein Protokoll sagt mehr. Versuch es gleich noch einmal.',
      503: 'Jetzt kann keine Kamera mehr starten: Das Limit des Servers oder dieses Geräts ist erreicht. Beende eine und '
        + 'versuch es dann noch einmal.',
      'watch 503': 'Dem Server sehen schon so viele zu, wie er bedienen kann. Versuch es später noch einmal.',
    },
    serverSays: (sentence, status) => (sentence
      ? `Der Server sagt: „${sentence}“`
      : `Der Server lehnt das ab (HTTP ${status}). Versuch es gleich noch einmal.`),
    unexpected: (detail) => `In der Seite ging etwas schief (${detail}). Lade sie neu und versuch es dann noch einmal.`,
  },
};

/** @type {Words['phone']} */
const phone = {
  picture: 'Das erklärte Bild',
  panel: 'Was das Netz sieht',
  labels: 'Die fünf wahrscheinlichsten Klassen; tippe auf eine, um sie anzuheften',
  headline: 'Sieh, worauf ein neuronales Netz schaut.',
  pitch: 'Richte die Kamera auf etwas. Die warmen Stellen entscheiden, wie es das Netz nennt.',
  promise: 'Das Video geht an den Computer, von dem diese Seite kommt, und sonst nirgendwohin.',
  promises: {
    on: '*Er nimmt das Video auf*, mit und ohne Heatmap, bis du den roten Knopf drückst.',
    ask: '*Er nimmt nichts auf*, außer du drückst den roten Knopf.',
    off: '*Nichts wird aufgenommen.*',
  },
  recordAll: 'Kameras aufnehmen',
  recordModes: { on: 'alle', ask: 'wer es will', off: 'keine' },
  recordsNow: 'Das hat sich eben geändert: Lies unten, ob der Computer das Video aufnimmt, und starte dann noch einmal.',
  start: 'Kamera starten',
  startAgain: 'Neu starten',
  openFile: 'Videodatei live abspielen',
  films: {
    choose: 'Einen Film erklären',
    how: 'Oder zieh einen Film auf diese Seite, auch den eines iPhones: Jedes Bild wird erklärt.',
    drop: 'Lass den Film los: Jedes Bild wird erklärt.',
    list: 'Filme',
    explain: 'Jedes Bild erklären',
    cancel: (name) => `${name} abbrechen`,
    dismiss: (name) => `${name} aus der Liste entfernen`,
    offered: 'Dieser Browser kann ihn nicht live abspielen. whycam kann ihn erklären.',
    queued: 'Wartet auf das Senden.',
    uploading: (part) => `${part} gesendet`,
    waiting: 'Wartet, bis der Film davor fertig ist.',
    begins: 'Beginnt…',
    explaining: (part, left) => `${part} erklärt${left > 90 ? `, noch etwa ${Math.round(left / 60)} min` : left ? `, noch etwa ${Math.ceil(left / 10) * 10} s` : ''}`,
    report: 'Der Bericht entsteht.',
    done: (frames) => `Erklärt: ${frames} ${frames === 1 ? 'Bild' : 'Bilder'}.`,
    watch: 'Ansehen',
    toReport: 'Bericht',
    download: 'Herunterladen',
    taken: (name) => `${name} wird erklärt. Du findest den Film bei den Aufnahmen.`,
    notSent: (name) => `${name} wurde nicht ganz gesendet: Der Server antwortet nicht. Prüf, ob whycam läuft, und wähl den Film noch einmal.`,
    tooLarge: (most) => `Er ist größer als ${most}. Erklär ihn auf dem Computer: whycam process`,
    failed: {
      'not-a-film': 'Das ist kein Film, den whycam lesen kann. Wähl einen Film als MP4, MOV, MKV, WebM, AVI oder MPEG.',
      image: 'Das ist ein Foto. Wähl einen Film; Fotos erklärt „whycam process“.',
      'disk-full': 'Der Datenträger des Computers ist voll. Lösch Aufnahmen und wähl den Film noch einmal.',
      crashed: 'Das Programm, das ihn erklärte, wurde beendet. „whycam process“ auf dem Computer sagt mehr.',
      'upload-cut-off': 'whycam wurde beendet, während der Film ankam. Wähl ihn noch einmal.',
      model: 'Das Modell startet nicht; mehr steht im Protokoll des Computers. Wähl ein anderes Modell, dann den Film noch einmal.',
    },
  },
  head: 'Die Verbindung',
  stop: 'Verbindung beenden',
  record: 'Aufnehmen',
  recorded: 'Aufnahme läuft',
  unrecorded: 'Keine Aufnahme',
  freeze: 'Einfrieren',
  hide: 'Beleg verdecken',
  hideTitle: 'Verdeckt die heißeste Stelle und lässt das Modell noch einmal rechnen',
  save: 'Sichern',
  more: 'Mehr',
  share: 'Bild teilen',
  helpShort: 'Hilfe',
  hint: 'Tippe auf einen Namen, um ihn anzuheften, auf zwei, um sie zu vergleichen.',
  hintPinned: 'Noch einmal tippen löst ihn.',
  tip: 'Tippe auf einen Namen zum Anheften, aufs Bild für die Kamera.',
  peek: 'Nur die Kamera zeigen',
  peeking: 'Kamera, ohne Heatmap',
  frozen: 'Eingefroren. Du kannst noch anheften.',
  flip: 'Zur anderen Kamera wechseln',
  torch: 'Licht',
  zoom: 'Zoom',
  teach: {
    name: 'Anlernen',
    title: 'Bring ihm deine Dinge bei',
    done: 'Fertig',
    close: 'Schließen',
    how: 'Gib einem Ding einen Namen und halte dann drei Sekunden seinen Knopf, während die Kamera es von mehreren Seiten sieht. Ab '
      + 'zwei Dingen lernt es; *Etwas anderes* ist, was keins davon ist: der Tisch, deine Hand.',
    shown: 'Welche Klassen zu sehen sind',
    shows: { own: 'Was es wusste', taught: 'Was es lernte' },
    showsNow: { own: 'Die Bilder zeigen, was es vorher wusste.', taught: 'Die Bilder zeigen, was wir ihm beigebracht haben.' },
    classes: 'Angelernte Klassen',
    hold: 'Halten und zeigen',
    letGo: 'Loslassen zum Beenden',
    pressAgain: 'Drücken zum Beenden',
    full: 'Voll',
    holdAll: (name) => `Halten und zeigen: ${name}. Kurz drücken beginnt, noch einmal drücken beendet.`,
    begins: (name) => `Die Kamera zeigt ${name}.`,
    given: (name, count) => `${name}: ${count} ${count === 1 ? 'Beispiel' : 'Beispiele'}.`,
    example: (name, number) => `${name}, Beispiel ${number}: vergrößern`,
    rename: (name) => `${name} umbenennen`,
    remove: (name) => `${name} entfernen`,
    add: 'Dazu',
    addLabel: 'Name eines weiteren Dings',
    addExample: 'Tasse, Mäppchen …',
    somethingElse: 'Etwas anderes',
    somethingElseTitle: 'Eine Klasse für alles, was keins deiner Dinge ist: Ohne sie ist alles eins davon',
    nameIt: 'Gib zuerst einen Namen ein.',
    sameName: (name) => `„${name}“ gibt es schon.`,
    noMore: (most) => `Das sind ${most}, mehr kann es nicht lernen.`,
    undo: 'Letzte Änderung zurücknehmen',
    undoes: {
      examples: (name, count) => `Zurücknehmen: ${count} ${count === 1 ? 'Beispiel' : 'Beispiele'} für ${name}`,
      class: (name) => `Zurücknehmen: ${name} dazu`,
      name: (name) => `Zurücknehmen: ${name} umbenannt`,
      removal: (name) => `Zurücknehmen: ${name} entfernt`,
      'removal of an example': (name) => `Zurücknehmen: ein Beispiel für ${name} entfernt`,
      clearing: () => 'Zurücknehmen: alles vergessen',
    },
    right: (right, tested) => `${right} von ${tested} richtig, bei Beispielen, die es beim Lernen nicht gesehen hat.`,
    tooFew: 'Zu wenige Beispiele, um zu sagen, wie gut es ist: Zeig ihm jedes Ding noch einmal, von einer anderen Seite.',
    wrong: 'Was war falsch?',
    noneWrong: 'Nichts, bei den zurückgehaltenen Beispielen.',
    places: 'Wohin schaut es?',
    nowhere: 'Noch gibt es keine Heatmap zu zeigen.',
    looking: 'Einen Moment …',
    takenFor: (name, takenFor, share) => `Es hielt „${name}“ für „${takenFor}“, mit ${share}: Dorthin hat es geschaut.`,
    where: (name, middle, border) => `Die mittlere Heatmap von ${name}: ${middle} in der Mitte, ${border} am Rand`,
    parts: (middle, border) => `${middle} der Hitze liegen in der Mitte, ${border} am Rand.`,
    suspicious: 'Vielleicht hat es den Hintergrund gelernt: Beweg den Gegenstand und versuch es noch einmal.',
    pictureOf: (name) => `Ein Beispiel für ${name}`,
    heatOf: (name) => `Dasselbe mit der Heatmap für ${name}`,
    noHeat: 'Noch gibt es keine Heatmap: Es hat noch nicht daraus gelernt.',
    removeExample: 'Dieses Beispiel entfernen',
    save: 'Sichern',
    saveLabel: 'Name des Modells',
    saveName: 'Gib zuerst einen Namen für das Modell ein.',
    saving: 'Wird gesichert …',
    savedAs: (name, kept) => `Gesichert als ${name}${kept ? ', mit den Beispielen' : ''}: von jetzt an ein Modell dieses Computers.`,
    keep: 'Beispiele behalten, um später weiter anzulernen',
    keepHint: 'Ihre Bilder liegen dann neben dem Modell auf diesem Computer. Sie bleiben hier.',
    download: 'Modelldatei herunterladen',
    downloadClasses: 'Woraus es lernte',
    phones: 'Handys dürfen anlernen',
    clear: 'Alles vergessen',
    clearAsks: 'Alle Klassen und ihre Beispiele vergessen?',
    clearYes: 'Vergessen',
  },
  zoomBy: (factor) => `${factor}×`,
  cameras: 'Kamera wählen',
  cameraNumber: (number) => `Kamera ${number}`,
  search: 'Eine Klasse nach Namen anheften (Englisch)',
  searchAny: 'Wo ist …?',
  searchExample: (name) => `Wo ist … „${name}“?`,
  hiding: 'Der Beleg wird verdeckt …',
  ago: (seconds) => `vor ${seconds} s`,
  saved: (file) => `Gesichert als ${file}.`,
  seen: (label, share) => `${label}, ${share}`,

  camera: 'Kamera',

  phones: 'Mit dem Handy',
  phonesHow: 'Scanne das mit der Kamera des Handys.',
  phonesMore: 'Die Seite öffnet sich nicht?',
  phonesUnreachable: (port) => 'Ist das Handy im selben Netz? Ein Gast- oder Schul-WLAN trennt seine Geräte vielleicht '
    + 'voneinander: Nimm den Hotspot des Handys (er braucht kein Internet), dann lass erst kein Handy und wieder Handys mitmachen: Die Adresse '
    + `ändert sich. Eine Firewall muss TCP ${port} und UDP durchlassen (--udp-ports grenzt ein, welche Ports).`,
  noLan: 'Noch kann kein Handy mitmachen, und kein anderes Gerät erreicht diesen Computer. Lass sie mitmachen, dann erscheint '
    + 'hier ein Code zum Scannen.',
  letJoin: 'Handys mitmachen lassen',
  letNone: 'Kein Handy mitmachen lassen',
  noNetwork: 'Dieser Computer ist in keinem Netz, also erreicht ihn kein Handy. Verbinde ihn mit einem WLAN oder mit '
    + 'dem Hotspot des Handys (er braucht kein Internet) und lass dann die Handys noch einmal mitmachen.',
  code: 'QR-Code: die Seite für Handys',
  help: 'Hilfe für Handys',

  states: {
    joining: 'Suche den Server …',
    outside: 'Nicht angemeldet.',
    idle: 'Bereit.',
    asking: 'Darf die Seite die Kamera benutzen?',
    calling: 'Verbinde …',
    live: 'Live.',
    frozen: 'Eingefroren. Du kannst noch anheften.',
    reconnecting: 'Verbinde wieder …',
    lost: 'Die Verbindung ist abgebrochen.',
    ended: 'Beendet.',
  },
  stateMore: {
    asking: 'Der Browser fragt dich. Wenn du es erlaubst, geht das Bild an den Computer, der diese Seite anbietet.',
    calling: 'Das erste Bild ist unterwegs.',
  },

  serverEnded: 'Der Server hat die Verbindung beendet.',
  ended: {
    'too-large': ['Das Bild dieser Kamera ist größer, als der Server annimmt.', 'Wähle eine andere Kamera und starte dann neu.'],
    'too-fast': ['Diese Kamera sendet mehr Bilder in der Sekunde, als der Server annimmt.',
      'Wähle eine andere Kamera und starte dann neu.'],
    'too-many-streams': ['Diese Seite hat mehr gesendet, als eine Verbindung haben darf.', 'Lade sie neu und starte dann neu.'],
    silent: ['Von der Kamera dieses Geräts kam eine Weile kein Bild, also hat der Server die Verbindung beendet.',
      'Sieh nach, ob eine andere App die Kamera benutzt, und starte dann neu.'],
    'server-ends': ['Der Server wurde beendet.', 'Starte whycam auf dem Computer, dann hier neu.'],
  },
  again: (why) => `${why || 'Die Verbindung ist abgebrochen.'} Die Seite versucht es von selbst wieder, auch wenn der Server `
    + 'neu startet.',

  fileDone: 'Die Datei ist zu Ende.',
  watchAgain: 'Noch einmal ansehen',

  fps: (fps) => `${fps} fps`,
  latency: (time, measured) => (measured ? time : `≈ ${time}`),
  latencyTold: (time, measured) => `${time}, ${measured ? 'gemessen' : 'geschätzt'}`,
  latencyTitle: 'Von diesem Gerät zum Computer und zurück auf den Bildschirm',
  exact: 'exakt',
  carried: (age) => `mitgeführt, ${age} alt`,
  noHeatmap: 'keine Heatmap',
  stalled: 'kein Kamerabild',
  noPicture: 'kein Bild',
  dropped: (frames) => `${frames} verworfen`,

  details: {
    model: 'Modell', map: 'Heatmap', inference: 'Zeit des Modells', frame: 'Zeit des Servers', latency: 'Kamera bis Bildschirm',
    dropped: 'Verworfen', lost: 'Verloren', recording: 'Aufnahme',
  },
  framesOf: (frames, all) => `${frames} von ${all} Bildern`,
  badDay: {
    silent: 'Es kommt kein Bild zurück. Bleibt es weg, verbindet sich die Seite von selbst neu.',
    stalled: 'Von der Kamera dieses Geräts kommt kein Bild. Benutzt sie eine andere App, oder ist das Netz weg?',
    restarting: 'Das Modell startet neu. Bis dahin hat das Bild keine Heatmap.',
    slowModel: (time) => `Das Modell braucht ${time} für ein Bild; die Heatmap folgt solange dem Gegenstand.`,
    losing: (frames) => `Das Netz hat gerade ${frames} Bilder verloren. Geh näher an den WLAN-Router.`,
    fewFrames: (fps) => `Nur ${fps} Bilder in der Sekunde kommen zurück: Der Computer oder das Netz hat zu viel zu tun.`,
    late: (time) => `Das Bild kommt ${time} zu spät: Der Computer oder das Netz hat zu viel zu tun.`,
  },

  recordingTo: (folder) => `Aufnahme in ${folder} auf dem Computer.`,
  notRecording: 'Es wird nichts aufgenommen.',
  recordingStopped: {
    'disk-full': 'Die Aufnahme hat angehalten: Der Datenträger des Computers ist voll. Was aufgenommen ist, ist '
      + 'vollständig. Sie geht weiter, wenn wieder Platz ist.',
    folder: 'Es wird nichts aufgenommen: Der Ordner für Aufnahmen lässt sich nicht anlegen. Das '
      + 'Protokoll des Computers sagt, warum.',
    failed: 'Die Aufnahme hat aufgehört: Die Dateien lassen sich nicht schreiben. Das Protokoll des Computers sagt, warum.',
  },

  problems: {
    refused: 'Die Kamera ist für diese Seite gesperrt. Erlaube sie in den Website-Einstellungen des Browsers und drücke '
      + 'den Knopf dann noch einmal.',
    noCamera: 'Der Browser findet keine Kamera. Schließe eine an und drücke den Knopf noch einmal, oder öffne eine '
      + 'Videodatei.',
    inUse: 'Die Kamera ist belegt, wahrscheinlich von einer anderen App oder einem anderen Tab. Schließe sie dort und drücke '
      + 'den Knopf dann noch einmal.',
    cameraStopped: 'Die Kamera sendet keine Bilder mehr. Sieh nach, ob sie noch angeschlossen und erlaubt ist, und '
      + 'starte dann neu.',
    cameraOther: (detail) => `Die Kamera ist nicht gestartet (${detail}). Versuch es noch einmal oder öffne eine Videodatei.`,
    noCapture: 'Dieser Browser kann keine Videodatei senden (ihm fehlt captureStream, wie Safari). Öffne die Datei in '
      + 'Chrome, Edge oder Firefox, oder nimm die Kamera.',
    unreadableFile: (name) => `Der Browser kann ${name} nicht abspielen. Nimm eine MP4- (H.264) oder WebM-Datei, oder `
      + 'lass den Film Bild für Bild von whycam erklären.',
    wrongRole: 'Dieses Gerät ist nur zum Zuschauen angemeldet. Scanne den Code für Handys, den der Computer zeigt.',
    unknownName: (name, [one, other]) => `Das Modell hat keine Klasse „${name}“. Seine Namen sind zum Beispiel ${one} oder ${other}.`,
    noOtherCamera: 'Die andere Kamera ist nicht gestartet. Wähle eine in der Liste unter „Mehr“.',
    noPictureYet: 'Es gibt noch kein Bild zum Sichern. Warte auf das erste.',
    commands: {
      'not-a-command': 'Der Server hat diese Seite nicht verstanden. Lade sie neu und versuch es dann noch einmal.',
      'unknown-key': 'Das kennt der Server noch nicht: Er ist älter als diese Seite. Lade sie neu und versuch es dann noch '
        + 'einmal.',
      'wrong-value': 'Diese Einstellung hat der Server nicht angenommen. Lade die Seite neu und versuch es dann noch einmal.',
      'no-recordings': 'Dieser Server nimmt nichts auf. Starte ihn ohne --no-record.',
      'recording-off': 'Der Computer hat das Aufnehmen für alle Kameras abgeschaltet.',
      'no-difference': 'Die Datei dieses Modells hat von dieser Schicht keine Heatmap mit Vorzeichen, aus der ein Unterschied entsteht. '
        + 'Wähle eine andere Schicht, oder exportiere es noch einmal mit --method signed neben anderen.',
      'too-many-commands': 'Diese Seite hat zu viele Einstellungen auf einmal gesendet, der Server nimmt keine mehr an. Lade sie neu.',
      'no-teaching': 'Dieses Gerät kann gerade nicht anlernen: Das Modell kann nicht lernen, oder der Computer lässt Handys nicht '
        + 'anlernen.',
      full: 'Dieses Ding hat so viele Beispiele, wie es haben kann.',
      'too-soon': 'Die Aufnahme wurde eben erst umgeschaltet. Versuch es in einer Sekunde noch einmal.',
    },
  },
};

/** @type {Words['wall']} */
const wall = {
  title: 'whycam an der Wand',
  join: 'Mach mit deinem Handy mit',
  scan: 'Scannen.\nZeigen.\nSehen.',
  scanHow: 'Scanne den Code mit der Kamera eines Handys, richte sie auf etwas und sieh hier, wohin das Netz schaut.',
  nobody: 'Keine Kamera ist live.',
  noLan: 'Noch kann kein Handy mitmachen. Auf der Seite der Kamera geht es: *Handys mitmachen lassen*.',
  nobodyHow: 'Sobald eine Kamera startet, erscheint ihr Bild hier.',
  ownCamera: 'Die Kamera dieses Computers nehmen',
  recordings: 'Aufnahmen',
  explainedPicture: 'Das erklärte Bild',
  cameraPicture: 'Das Bild der Kamera',
  labels: 'Die fünf wahrscheinlichsten Klassen; die Tasten 1 bis 5 heften eine an',
  enlarge: (labels) => (labels ? `Vergrößern: ${labels}` : 'Dieses Bild vergrößern'),
  without: (before, after) => `${before} → ${after}`,
  signs: {
    frozen: 'Eingefroren',
    hidden: 'Beleg verdeckt',
    hiding: 'Der Beleg wird verdeckt …',
    stalled: 'Kein Kamerabild',
    restarting: 'Das Modell startet neu',
    carried: (age) => `Heatmap ${age} alt`,
    recording: 'Aufnahme läuft',
    taught: 'Was es lernte',
    own: 'Was es wusste',
    teaches: (giver, name, count) => `${giver ? `${giver} zeigt` : 'Zeigt'}: ${name}, ${count}`,
  },
  controls: 'Bedienung',
  all: 'Alle',
  side: 'Neben\u00adeinander', // a soft hyphen: on a phone it takes two lines
  freeze: 'Einfrieren',
  hide: 'Beleg verdecken',
  qr: 'Code',
  full: 'Vollbild',
  help: 'Tasten',
  helpTitle: 'Tasten',
  helpKeys: [
    ['1 … 5', 'diese Klasse anheften oder lösen; höchstens zwei'],
    ['0', 'alle lösen: zurück zur besten Klasse'],
    ['f', 'das Bild einfrieren oder weiterlaufen lassen'],
    ['e', 'den Beleg verdecken: die heißeste Stelle abdecken und sehen, wie sich die Wahrscheinlichkeit ändert'],
    ['s', 'die Kamera neben dem erklärten Bild zeigen'],
    ['q', 'der Code für Handys'],
    ['d', 'der Unterschied zweier angehefteter Klassen: was eher für die eine spricht als für die andere'],
    ['m', 'ein anderes Modell oder eine andere Heatmap wählen'],
    ['← →', 'das nächste Handy'],
    ['Esc', 'alle Handys'],
    ['w', 'Vollbild'],
    ['h', 'diese Liste'],
  ],
  models: 'Modell wählen',
  oneModel: 'Dieser Computer hat nur ein Modell. „whycam export“ macht weitere.',
  pinTwo: 'Ein Unterschied ist einer zweier Klassen. Hefte erst zwei an.',
  noDifference: 'Die Datei dieses Modells hat von dieser Schicht keine Heatmap mit Vorzeichen, aus der ein Unterschied entsteht. '
    + '„whycam export … --method signed“ fügt eine hinzu.',
  classes: (count) => `${count} Klassen`,
  keysOn: 'Tastenkürzel',
  close: 'Schließen',
  onlyHost: 'Du schaust zu. Nur der Computer, auf dem whycam läuft, und das Handy selbst können das Bild ändern.',
  phonesSend: 'Dieses Gerät ist mit dem Code für Handys angemeldet: Es sendet seine Kamera und sieht sein Bild auf der Kameraseite.',
  whichOne: 'Mehrere Handys sind live. Klicke zuerst eines davon an.',
  noFullScreen: 'Der Browser erlaubt hier kein Vollbild. Versuch es mit seiner eigenen Taste, meist F11.',
  silent: 'Es kommt kein Bild. Die Seite versucht es von selbst wieder.',
  serverGone: 'Der Server antwortet nicht. Die Seite versucht es von selbst wieder.',
};

/** @type {Words['recordings']} */
const recordings = {
  title: 'Aufnahmen',
  pages: 'Seiten',
  toCamera: 'Kamera',
  toWall: 'Projektor',
  nothing: 'Noch ist nichts aufgenommen.',
  nothingHow: 'Was aufgenommen wird, erscheint hier, während es läuft.',
  live: 'Live',
  liveHow: 'Diese Sitzung wird gerade aufgenommen. Wenn sie endet, öffnen sich ihre Filme hier.',
  parts: (count) => `${count} Teile`,
  partsLabel: 'Teile dieser Sitzung',
  part: (number, time, length) => `Teil ${number} · ${time} · ${length}`,
  cutOff: 'abgeschnitten',
  early: 'vorzeitig beendet',
  ended: {
    'cut-off': 'abgeschnitten: Der Computer oder der Server hielt an; die Filme enden dort',
    'film-damaged': 'der Film bricht ab; was davor kam, ist erklärt',
    'disk-full': 'vorzeitig beendet: Der Datenträger war voll',
    failed: 'vorzeitig beendet: Die Dateien ließen sich nicht schreiben',
  },
  mostly: 'Was vor allem zu sehen war',
  remove: 'Löschen',
  removeOne: (time) => `Die Aufnahme von ${time} löschen`,
  removed: (time) => `Die Aufnahme von ${time} ist gelöscht. Zehn Minuten lang lässt sie sich zurückholen.`,
  undo: 'Zurückholen',
  tooLate: 'Es ist zu spät: Die Aufnahme ist endgültig weg.',
  gone: 'Diese Aufnahme gibt es nicht, oder sie wurde gelöscht. Hier sind alle Aufnahmen.',
  ofThisDevice: 'Das sind die Aufnahmen von diesem Gerät. Der Computer, auf dem whycam läuft, hat alle.',
  onlyHost: 'Aufnahmen zeigen der Computer, auf dem whycam läuft, und das Handy, das sie gemacht hat.',

  cameraFilm: 'Der Film der Kamera',
  explainedFilm: 'Der erklärte Film',
  drawnNow: 'Kamera, Heatmap hier gezeichnet:',
  drawnThen: 'So wurde es damals erklärt',
  play: 'Abspielen',
  pause: 'Anhalten',
  rate: 'Tempo',
  timeline: 'Stelle; die Linien sind die Wahrscheinlichkeiten der Klassen',
  moment: (time, whole, best) => `${time} von ${whole}${best ? `, ${best}` : ''}`,
  report: 'Bericht öffnen',
  over: 'Klassen im Verlauf',
  overHow: 'Drück auf eine Klasse, um ihre Linie zu sehen. Die Heatmap ist in den Film gezeichnet: Das Original hat whycam nicht '
    + 'behalten, deshalb lässt sie sich hier nicht anders zeichnen.',
  ask: 'Wo ist …?',
  askHow: 'Drück auf eine Klasse, um ihre Heatmap zu sehen, auf zwei, um sie zu vergleichen. Das Modell rechnet nicht '
    + 'noch einmal: Die Begleitdatei hat die fünf besten Klassen jedes Bildes und die angehefteten.',
  look: 'Aussehen',
  asThen: 'Wie damals',
  own: 'Auch schwache Klassen: Volle Stärke ist das Maximum jeder Karte',
  keys: 'Die Leertaste spielt ab, ← und → springen eine Sekunde, Komma und Punkt ein Bild, Esc geht zurück.',
  keep: 'Dateien',
  all: 'Alles (ZIP)',

  reading: (frames) => `die Heatmaps werden gelesen, bisher ${frames} Bilder…`,
  noFrames: 'keine Heatmap gespeichert',
  noneYet: 'hier keine Heatmap',
  noSidecar: 'die Begleitdatei mit den Heatmaps fehlt',
  notKept: (label) => `${label} ist hier nicht unter den fünf besten`,
  sidecarDamaged: (why) => `Die Begleitdatei mit den Heatmaps lässt sich nicht lesen (${why}). Die Filme laufen trotzdem.`,
  unplayable: (film) => `Der Browser kann ${film} nicht abspielen. Lade die Datei herunter und öffne sie mit einem anderen `
    + 'Programm, etwa VLC.',
  noFilm: 'Diese Aufnahme hat keinen Film: Sie endete vor dem ersten Bild.',
};

/** @type {Words['help']} */
const help = {
  title: 'Hilfe für Handys',
  back: 'Zurück zur Kamera',
  warnTitle: 'Warum der Browser warnt',
  warn: 'Browser erlauben die Kamera nur auf verschlüsselten Seiten. Der Computer, auf dem whycam läuft, hat keinen Namen '
    + 'im Internet; deshalb hat er sein Zertifikat selbst erzeugt, und der Browser kann nicht prüfen, wem es gehört. '
    + 'Akzeptiere die Warnung einmal, oder installiere das Zertifikat.',
  iphoneSafari: 'iPhone und iPad (Safari)',
  passIphone: [
    '„Diese Verbindung ist nicht privat“: Tippe auf *Details einblenden*.',
    'Tippe am Ende des Textes auf *diese Website besuchen*, dann auf *Website besuchen*.',
    'Wenn die Seite nach der Kamera fragt, tippe auf *Erlauben*.',
  ],
  androidChrome: 'Android (Chrome)',
  passAndroid: [
    '„Dies ist keine sichere Verbindung“: Tippe auf *Erweitert*.',
    'Tippe am Ende des Textes auf *Weiter zu …*',
    'Wenn die Seite nach der Kamera fragt, tippe auf *Bei Nutzung der App* oder *Zulassen*.',
  ],
  notJoined: 'Wenn die Seite dann sagt, dass dieses Gerät nicht angemeldet ist, scanne den Code noch einmal.',
  limitsTitle: 'Wovor eine akzeptierte Warnung nicht schützt',
  limits: 'Das Video ist verschlüsselt, andere im selben WLAN können es also nicht sehen. Aber wenn du die Warnung '
    + 'akzeptierst, prüft der Browser nicht, *wer* am anderen Ende ist: Wer sich im selben Netz als dieser Computer ausgibt, '
    + 'könnte dir dieselbe Warnung zeigen, den Code nehmen und deine Kamera sehen. Zu Hause ist das '
    + 'unwahrscheinlich. In einem Netz, dem du nicht traust, nimm den Hotspot des Handys, installiere das Zertifikat '
    + 'in einem Netz, dem du traust, oder starte whycam mit einem Zertifikat, das die Browser kennen (`--cert` und '
    + '`--key`).',
  installTitle: 'Das Zertifikat dauerhaft installieren',
  install: 'Tu das in einem Netz, dem du traust. Es ist das Zertifikat der eigenen Zertifizierungsstelle dieses '
    + 'Computers: Sie kann für `localhost` bürgen, für Namen, die auf `.local` enden, für private Adressen und für die '
    + 'Adressen, die dieser Computer hatte, als sie entstand, und für nichts sonst im Internet. Entferne es, wenn du '
    + 'whycam nicht mehr brauchst.',
  download: 'whycam.crt herunterladen',
  iphone: 'iPhone und iPad',
  installIphone: [
    'Öffne es mit Safari (ein anderer Browser legt nur die Datei ab) und tippe auf *Zulassen*.',
    'Einstellungen › *Profil geladen* (oder Allgemein › VPN und Geräteverwaltung) › whycam › *Installieren*.',
    'Einstellungen › Allgemein › Info › *Zertifikatsvertrauenseinstellungen*: Schalte whycam ein.',
  ],
  android: 'Android',
  installAndroid: [
    'Lade es herunter.',
    'Einstellungen › Sicherheit & Datenschutz › Weitere › Verschlüsselung & Anmeldedaten › Zertifikat installieren › '
      + '*CA-Zertifikat* (such in den Einstellungen nach „CA-Zertifikat“; der Weg ist je nach Handy anders).',
    'Wähle *whycam.crt*. Android sagt dann, dass das Netzwerk vielleicht überwacht wird; es meint dieses Zertifikat. '
      + 'Chrome benutzt es von da an; Firefox hat eine eigene Liste.',
  ],
  teachTitle: 'Bring ihm deine eigenen Dinge bei',
  teach: 'Während das Bild läuft, macht *Anlernen* aus deinen Dingen Klassen. Auf einem Handy erscheint es, wenn der Computer es '
    + 'erlaubt (*Handys dürfen anlernen*). Alle Geräte lernen dieselben Klassen an.',
  teachSteps: [
    'Tipp einen Namen ein und drück *Dazu*. *Etwas anderes* ist eine Klasse für alles, was keins deiner Dinge ist.',
    'Halte den Knopf des Dings drei Sekunden, während die Kamera es von mehreren Seiten sieht. Wer nicht halten kann, drückt '
      + 'einmal zum Beginnen und noch einmal zum Beenden.',
    'Vom zweiten Ding an sagt das Bild, welches es sieht, und die Heatmap, wohin es schaut.',
  ],
  teachWell: 'Zeig jedes Ding zweimal, an zwei Orten: Dann kann die Seite sagen, wie oft es richtigliegt, und es lernt das Ding '
    + 'und nicht den Tisch darunter. Was angelernt ist, vergisst whycam, wenn es endet; der Computer kann es als Modell sichern.',
  troubleTitle: 'Die Seite öffnet sich nicht, oder es kommt kein Bild',
  trouble: [
    '*Ein anderes Netz.* Das Handy und der Computer müssen im selben sein. Mobile Daten zählen nicht.',
    '*Ein WLAN, das seine Geräte voneinander trennt*, wie es Gast- und Schulnetze oft tun. Schalte den Hotspot des '
      + 'Handys ein, verbinde den Computer damit, starte whycam neu und scanne den neuen Code. Das braucht kein '
      + 'Internet: Das Video bleibt zwischen den beiden. (Andere Programme des Computers nutzen vielleicht mobile '
      + 'Daten; schalte sie am Handy ab, wenn du dafür bezahlst.)',
    '*Eine Firewall auf dem Computer.* Sie muss den Port durchlassen, den die Adresse der Seite zeigt (TCP), und UDP '
      + 'für das Video. `whycam serve --lan --udp-ports 50000-50100` grenzt die UDP-Ports auf die ein, die du öffnest.',
    '*Ein anderer Browser als Safari auf einem iPhone.* Erlaube ihm, nach Geräten zu suchen: Einstellungen › '
      + 'Datenschutz & Sicherheit › *Lokales Netzwerk*.',
    '*Ein VPN* auf dem Handy oder dem Computer. Schalte es ab, solange du whycam benutzt.',
  ],
  doctor: 'Auf dem Computer nennt `whycam doctor` dessen Adressen und sagt, was sonst nicht stimmt.',
};

/** @type {Words} */
export const german = { common, phone, wall, recordings, help };
