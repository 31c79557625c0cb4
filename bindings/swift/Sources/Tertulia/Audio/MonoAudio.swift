import Foundation
public import TertuliaGenerated

/// Mono audio: samples of -1 to 1 as 32-bit floats.
public protocol MonoAudio {
    /// The samples' bytes.
    var pcm: Data { get }
}

extension MonoAudio {
    /// The samples in place, for the time of the closure.
    public func withSamples<T>(_ body: (UnsafeBufferPointer<Float>) throws -> T) rethrows -> T {
        try pcm.withUnsafeBytes { bytes in
            if Int(bitPattern: bytes.baseAddress) % MemoryLayout<Float>.alignment == 0 {
                return try bytes.withMemoryRebound(to: Float.self) { try body($0) }
            }
            return try copied(bytes).withUnsafeBufferPointer(body)
        }
    }

    /// The samples, copied.
    public var samples: [Float] { pcm.withUnsafeBytes(copied) }
}

private func copied(_ bytes: UnsafeRawBufferPointer) -> [Float] {
    [Float](unsafeUninitializedCapacity: bytes.count / MemoryLayout<Float>.size) { buffer, count in
        count = buffer.count
        UnsafeMutableRawBufferPointer(buffer).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.prefix(count * MemoryLayout<Float>.size)))
    }
}

extension RecognitionRequest: MonoAudio {}

extension StoredAudio {
    /// The 16-bit samples, copied.
    public var samples: [Int16] {
        pcm.withUnsafeBytes { bytes in
            [Int16](unsafeUninitializedCapacity: bytes.count / 2) { buffer, count in
                count = buffer.count
                UnsafeMutableRawBufferPointer(buffer).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.prefix(count * 2)))
            }
        }
    }
}

/// Calls with the bytes of samples, without a copy; they must not be kept.
func withBytes<T, S>(of samples: UnsafeBufferPointer<S>, _ body: (Data) throws -> T) rethrows -> T {
    guard let base = samples.baseAddress, !samples.isEmpty else { return try body(Data()) }
    return try body(
        Data(bytesNoCopy: UnsafeMutableRawPointer(mutating: base), count: samples.count * MemoryLayout<S>.stride, deallocator: .none))
}
