import Foundation
import Tertulia

// One turn on the default models: a recording or a text in, the reply to a wav file. usage: Talk MODEL_FOLDER REPLY.wav RECORDING|TEXT
let arguments = CommandLine.arguments
guard arguments.count == 4 else { fatalError("usage: Talk MODEL_FOLDER REPLY.wav RECORDING|TEXT") }

let engine = try await TertuliaEngine.open(options: EngineOptions(modelFolder: arguments[1]))
let session = try await engine.createSession(SessionConfig(native: "en", target: "es", playback: .assumed))
if let recording = try? Data(contentsOf: URL(fileURLWithPath: arguments[3])) {
    try session.pushEncoded(recording)
} else {
    try session.send(arguments[3])
}

var (samples, rate) = ([Float](), UInt32(0))
turn: for try await event in session.events {
    switch event.kind {
    case .transcriptDone(let transcript, _): print("you: \(transcript.text)")
    case .replyAudioDelta(let audio):
        samples += audio.samples
        rate = audio.rate
    case .turnFinished(let reply):
        print("tutor: \(reply)")
        break turn
    case .turnFailed(let stage, let error): fatalError("\(stage): \(error)")
    default: break
    }
}
try wav(samples, rate: rate).write(to: URL(fileURLWithPath: arguments[2]))
try await engine.shutDown()

/// A wav file of mono 32-bit floats.
func wav(_ samples: [Float], rate: UInt32) -> Data {
    let bytes = UInt32(samples.count * 4)
    var file = Data("RIFF".utf8)
    func put<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { file.append(contentsOf: $0) } }
    put(bytes + 36)
    file.append(contentsOf: "WAVEfmt ".utf8)
    put(UInt32(16))
    put(UInt16(3))
    put(UInt16(1))
    put(rate)
    put(rate * 4)
    put(UInt16(4))
    put(UInt16(32))
    file.append(contentsOf: "data".utf8)
    put(bytes)
    samples.withUnsafeBytes { file.append(contentsOf: $0) }
    return file
}
