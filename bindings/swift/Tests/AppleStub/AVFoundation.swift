// The declarations of Apple's AVFoundation and Foundation that AudioEngineDevice uses, without anything behind them: on Linux its source is checked
// against them. They were written from Apple's documentation.
@_exported import Foundation

open class AVAudioNode: NSObject {
    public func outputFormat(forBus bus: Int) -> AVAudioFormat { fatalError() }
    public func installTap(onBus bus: Int, bufferSize: UInt32, format: AVAudioFormat?, block: @escaping (AVAudioPCMBuffer, AVAudioTime) -> Void) {}
    public func removeTap(onBus bus: Int) {}
    public var lastRenderTime: AVAudioTime? { nil }
}

open class AVAudioIONode: AVAudioNode {
    public var isVoiceProcessingEnabled: Bool { false }
    public func setVoiceProcessingEnabled(_ isEnabled: Bool) throws {}
}

public final class AVAudioInputNode: AVAudioIONode {}
public final class AVAudioMixerNode: AVAudioNode {}
public final class AVAudioTime: NSObject { public var sampleTime: AVAudioFramePosition { 0 } }
public typealias AVAudioFramePosition = Int64
public typealias AVAudioFrameCount = UInt32

public final class AVAudioFormat: NSObject {
    public convenience init?(standardFormatWithSampleRate rate: Double, channels: UInt32) { self.init() }
    public var sampleRate: Double { 0 }
    public var channelCount: UInt32 { 0 }
}

public final class AVAudioPCMBuffer: NSObject {
    public convenience init?(pcmFormat: AVAudioFormat, frameCapacity: AVAudioFrameCount) { self.init() }
    public var format: AVAudioFormat { fatalError() }
    public var frameCapacity: AVAudioFrameCount { 0 }
    public var frameLength: AVAudioFrameCount = 0
    public var floatChannelData: UnsafePointer<UnsafeMutablePointer<Float>>? { nil }
}

public enum AVAudioPlayerNodeCompletionCallbackType { case dataPlayedBack }

public final class AVAudioPlayerNode: AVAudioNode {
    public func scheduleBuffer(
        _ buffer: AVAudioPCMBuffer, completionCallbackType: AVAudioPlayerNodeCompletionCallbackType,
        completionHandler: ((AVAudioPlayerNodeCompletionCallbackType) -> Void)? = nil
    ) {}
    public func playerTime(forNodeTime time: AVAudioTime) -> AVAudioTime? { nil }
    public var isPlaying: Bool { false }
    public func play() {}
    public func pause() {}
    public func stop() {}
}

public final class AVAudioEngine: NSObject {
    public var inputNode: AVAudioInputNode { fatalError() }
    public var mainMixerNode: AVAudioMixerNode { fatalError() }
    public var isRunning: Bool { false }
    public func attach(_ node: AVAudioNode) {}
    public func connect(_ node: AVAudioNode, to: AVAudioNode, format: AVAudioFormat?) {}
    public func prepare() {}
    public func start() throws {}
    public func stop() {}
}

extension NSNotification.Name {
    public static let AVAudioEngineConfigurationChange = NSNotification.Name("AVAudioEngineConfigurationChange")
}

public struct AVMediaType { public static let audio = AVMediaType() }

public final class AVCaptureDevice: NSObject {
    public static func requestAccess(for type: AVMediaType, completionHandler: @escaping @Sendable (Bool) -> Void) {}
}

public let AVAudioSessionInterruptionTypeKey = "type"
public let AVAudioSessionInterruptionOptionKey = "option"

public final class AVAudioSession: NSObject {
    public struct Category { public static let playAndRecord = Category() }
    public struct Mode { public static let voiceChat = Mode() }
    public struct CategoryOptions: OptionSet, Sendable {
        public let rawValue: UInt
        public init(rawValue: UInt) { self.rawValue = rawValue }
        public static let allowBluetooth = CategoryOptions(rawValue: 4)
        public static let defaultToSpeaker = CategoryOptions(rawValue: 8)
    }
    public enum InterruptionType: UInt { case ended, began }
    public struct InterruptionOptions: OptionSet, Sendable {
        public let rawValue: UInt
        public init(rawValue: UInt) { self.rawValue = rawValue }
        public static let shouldResume = InterruptionOptions(rawValue: 1)
    }
    public static let routeChangeNotification = NSNotification.Name("route")
    public static let interruptionNotification = NSNotification.Name("interruption")
    public static let mediaServicesWereResetNotification = NSNotification.Name("reset")
    public class func sharedInstance() -> AVAudioSession { fatalError() }
    public func setCategory(_ category: Category, mode: Mode, options: CategoryOptions = []) throws {}
    public func setActive(_ isActive: Bool) throws {}
}
