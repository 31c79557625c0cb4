/** Samples as bytes: little-endian, as the engine takes and gives them. */
package dev.tertulia

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Mono samples of -1 to 1 from little-endian 32-bit floats. */
fun floatSamples(pcm: ByteArray): FloatArray =
    FloatArray(pcm.size / 4).also { ByteBuffer.wrap(pcm).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(it) }

/** Samples as little-endian 32-bit floats. */
fun floatPcm(samples: FloatArray): ByteArray =
    ByteArray(samples.size * 4).also { ByteBuffer.wrap(it).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(samples) }

/** Samples from little-endian 16-bit integers. */
fun shortSamples(pcm: ByteArray): ShortArray =
    ShortArray(pcm.size / 2).also { ByteBuffer.wrap(pcm).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().get(it) }

/** The utterance's samples, mono at 16,000 Hz. */
val RecognitionRequest.samples: FloatArray get() = floatSamples(pcm)

/** The samples of a recording. */
val StoredAudio.samples: ShortArray get() = shortSamples(pcm)

/** A direct buffer of each thread, from which the library reads. */
private val buffers = ThreadLocal.withInitial { ByteBuffer.allocateDirect(16_384).order(ByteOrder.LITTLE_ENDIAN) }

private fun scratch(bytes: Int): ByteBuffer {
    var buffer = buffers.get()
    if (buffer.capacity() < bytes) {
        buffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN)
        // A whole recording is passed once; blocks of a microphone come again and again.
        if (bytes <= 1 shl 20) buffers.set(buffer)
    }
    buffer.clear().limit(bytes)
    return buffer
}

internal fun FloatArray.direct(from: Int = 0, count: Int = size - from): ByteBuffer =
    scratch(count * 4).also { it.asFloatBuffer().put(this, from, count) }

internal fun ShortArray.direct(from: Int = 0, count: Int = size - from): ByteBuffer =
    scratch(count * 2).also { it.asShortBuffer().put(this, from, count) }

internal fun ByteArray.direct(): ByteBuffer = scratch(size).also { it.put(this).flip() }

/** The bytes of a buffer, which stay where they are if the buffer is direct. */
internal fun ByteBuffer.readable(): ByteBuffer =
    if (isDirect) this else scratch(remaining()).also { it.put(duplicate()).flip() }
