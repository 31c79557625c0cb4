import Foundation

/// The devices of the audio of every session; an app may set its own before it starts some.
public enum TertuliaAudio {
    /// Makes a device, which leaves the AVAudioSession to the app, or the question to the user, where it is told to.
    public typealias MakeDevice = @Sendable (_ managesFocus: Bool, _ asksForPermission: Bool) -> (any AudioDevice)?

    /// None where the platform has no audio of the package's.
    public static var makeDevice: MakeDevice {
        get { make.withLock { $0 } }
        set { make.withLock { $0 = newValue } }
    }

    #if canImport(AVFoundation)
    private static let make = Locked<MakeDevice> { AudioEngineDevice(configuresSession: $0, asksForPermission: $1) }
    #else
    private static let make = Locked<MakeDevice> { _, _ in nil }
    #endif
}

/// The functions in C++ (AppleAudio.cpp), by the number of a session.
struct NativeCalls: Sendable {
    let push: @Sendable @convention(c) (UInt64, UnsafePointer<Float>?, Int, UInt32) -> Void
    let input: @Sendable @convention(c) (UInt64, Bool) -> Void
    let played: @Sendable @convention(c) (UInt64, UInt64, UInt64) -> Void
    let news: @Sendable @convention(c) (UInt64, UnsafePointer<CChar>, UnsafePointer<CChar>) -> Void
}

/// The audio of one session. C++ makes it, and gives it what is to be played from one thread.
final class NativeAudio: AudioSession {
    enum Command: Sendable {
        case play(Data, rate: UInt32, turn: UInt64)
        case pause, resume, flush, start, hold
    }

    private let id: UInt64
    private let calls: NativeCalls
    private let commands: AsyncStream<Command>.Continuation
    private let end = DispatchSemaphore(value: 0)

    init(_ id: UInt64, device: any AudioDevice, calls: NativeCalls) {
        (self.id, self.calls) = (id, calls)
        let (stream, continuation) = AsyncStream<Command>.makeStream()
        commands = continuation
        let link = AudioLink(
            audio: self, device: device, onProblem: { NativeAudio.told($0, id, calls) },
            onRoute: { NativeAudio.tell("route_changed", "", id, calls) })
        // One task, so that all comes in order.
        Task { [end] in
            await link.start()
            for await command in stream {
                switch command {
                case .play(let pcm, let rate, let turn): await link.play(pcm, rate: rate, turn: turn)
                case .pause: await link.pause()
                case .resume: await link.resume()
                case .flush: await link.flush()
                case .start: await link.start()
                case .hold: await link.hold()
                }
            }
            await link.stop()
            end.signal()
        }
    }

    func give(_ command: Command) { commands.yield(command) }

    /// Waits until the devices are closed.
    func close() {
        commands.finish()
        end.wait()
    }

    func pushAudio(_ samples: UnsafeBufferPointer<Float>, rate: UInt32) { calls.push(id, samples.baseAddress, samples.count, rate) }
    func inputInterrupted() { calls.input(id, false) }
    func inputResumed() { calls.input(id, true) }
    func played(turn: UInt64, samplesTotal: UInt64) { calls.played(id, turn, samplesTotal) }

    private static func told(_ problem: MicrophoneProblem?, _ id: UInt64, _ calls: NativeCalls) {
        switch problem {
        case nil: tell("resumed", "", id, calls)
        case .notPermitted: tell("microphone_not_permitted", "", id, calls)
        case .interrupted: tell("interrupted", "", id, calls)
        case .noDevice: tell("microphone_format", "", id, calls)
        case .startFailed(let why): tell(why.hasPrefix("playback") ? "speaker_unavailable" : "microphone_unavailable", why, id, calls)
        case .silent: tell("microphone_stalled", "", id, calls)
        }
    }

    private static func tell(_ news: String, _ detail: String, _ id: UInt64, _ calls: NativeCalls) { calls.news(id, news, detail) }
}

// The functions that C++ calls. An audio is a retained pointer, until it is closed; NULL where the platform has none.

@_cdecl("tertulia_apple_audio_open")
func openAudio(
    _ id: UInt64, _ managesFocus: Bool, _ asksForPermission: Bool,
    _ push: @escaping @Sendable @convention(c) (UInt64, UnsafePointer<Float>?, Int, UInt32) -> Void,
    _ input: @escaping @Sendable @convention(c) (UInt64, Bool) -> Void,
    _ played: @escaping @Sendable @convention(c) (UInt64, UInt64, UInt64) -> Void,
    _ news: @escaping @Sendable @convention(c) (UInt64, UnsafePointer<CChar>, UnsafePointer<CChar>) -> Void
) -> UnsafeMutableRawPointer? {
    guard let device = TertuliaAudio.makeDevice(managesFocus, asksForPermission) else { return nil }
    let audio = NativeAudio(id, device: device, calls: NativeCalls(push: push, input: input, played: played, news: news))
    return Unmanaged.passRetained(audio).toOpaque()
}

@_cdecl("tertulia_apple_audio_play")
func playAudio(_ audio: UnsafeMutableRawPointer, _ turn: UInt64, _ samples: UnsafePointer<Float>, _ count: Int, _ rate: UInt32) {
    of(audio).give(.play(Data(bytes: samples, count: count * MemoryLayout<Float>.size), rate: rate, turn: turn))
}

/// 0 pause, 1 resume, 2 flush, 3 start again, 4 hold.
@_cdecl("tertulia_apple_audio_command")
func commandAudio(_ audio: UnsafeMutableRawPointer, _ command: Int32) {
    let commands: [NativeAudio.Command] = [.pause, .resume, .flush, .start, .hold]
    of(audio).give(commands[Int(command)])
}

@_cdecl("tertulia_apple_audio_close")
func closeAudio(_ audio: UnsafeMutableRawPointer) { Unmanaged<NativeAudio>.fromOpaque(audio).takeRetainedValue().close() }

private func of(_ audio: UnsafeMutableRawPointer) -> NativeAudio { Unmanaged<NativeAudio>.fromOpaque(audio).takeUnretainedValue() }
