package dev.tertulia

import kotlinx.coroutines.flow.Flow
import java.nio.ByteBuffer
import kotlin.time.Duration

/**
 * A handle of an open session. It keeps its engine, but not the session open: [close] and [end] do, and the engine's
 * end.
 *
 * Calls never wait but for the store, where they say so. Turns are numbers, from 1.
 */
class TertuliaSession internal constructor(
    private val raw: dev.tertulia.generated.TertuliaSession,
    /** The engine that it belongs to. */
    val engine: TertuliaEngine,
    texts: ReplyTexts,
) : AutoCloseable {
    private val reader = EventReader(raw::nextEvent, raw::setWaker, texts)

    /** The session's id, with which it can be opened again. */
    val id: String = raw.id()

    /** The settings for the next turn. */
    val config: SessionConfig get() = edge { raw.config() }

    /**
     * The session's events, until [TertuliaEventKind.SessionClosed]. One collector at a time: another fails with
     * [ErrorCode.EVENTS_TAKEN]. A collector that stops leaves the next events to the next one.
     */
    val events: Flow<TertuliaEvent> get() = reader.flow()

    /** Waits for the next event; null where none came. Fails with [ErrorCode.SESSION_CLOSED] after the last one. */
    fun nextEvent(timeout: Duration): TertuliaEvent? = reader.next(timeout)

    /** Takes in mono samples of -1 to 1 from the microphone at [rate] Hz (8,000 to 192,000), in blocks of any length. */
    fun pushAudio(samples: FloatArray, rate: Int, from: Int = 0, count: Int = samples.size - from) =
        edge { raw.pushAudio(samples.direct(from, count), rate.toUInt()) }

    /** The same with 16-bit samples. */
    fun pushAudio(samples: ShortArray, rate: Int, from: Int = 0, count: Int = samples.size - from) =
        edge { raw.pushAudioI16(samples.direct(from, count), rate.toUInt()) }

    /** The same with little-endian 32-bit floats; those of a direct buffer are not copied. */
    fun pushAudio(pcm: ByteBuffer, rate: Int) = edge { raw.pushAudio(pcm.readable(), rate.toUInt()) }

    /** The same with interleaved samples of several channels, which are averaged. */
    fun pushInterleaved(samples: FloatArray, channels: Int, rate: Int) =
        edge { raw.pushInterleaved(samples.direct(), channels.toUInt(), rate.toUInt()) }

    /** Takes in what the loudspeaker plays, for the engine's echo canceller. */
    fun pushPlayback(samples: FloatArray, rate: Int, from: Int = 0, count: Int = samples.size - from) =
        edge { raw.pushPlayback(samples.direct(from, count), rate.toUInt()) }

    /** Starts a turn with one whole file (webm, mp4, ogg, wav, mp3 or flac). */
    fun pushEncoded(file: ByteArray): ULong = edge { raw.pushEncoded(file.direct()) }

    /** Ends the utterance whose audio was pushed, and starts a turn. */
    fun endUtterance(): ULong = edge { raw.endUtterance() }

    /** Drops the utterance under way; no turn begins. */
    fun discardUtterance() = edge { raw.discardUtterance() }

    /** Tells that the microphone was taken away. */
    fun inputInterrupted() = edge { raw.inputInterrupted() }

    /** Tells that the microphone is back, and may be another one. */
    fun inputResumed() = edge { raw.inputResumed() }

    /** Starts a turn with a typed text. */
    fun sendText(text: String): ULong = edge { raw.sendText(text) }

    /** Starts a turn that speaks this text. */
    fun say(text: String): ULong = edge { raw.say(text) }

    /** Starts a turn with a reply that no utterance asked for: to instructions, or without them to open the conversation. */
    fun reply(instructions: String? = null): ULong = edge { raw.reply(instructions) }

    /** Retries a failed or interrupted turn as a new turn. Reads the store. */
    fun retryTurn(turn: ULong): ULong = edge { raw.retryTurn(turn) }

    /** Corrects the user's words of a turn; the conversation goes on from there. Reads the store. */
    fun correct(turn: ULong, text: String): ULong = edge { raw.correct(turn, text) }

    /** Interrupts the turn under way. */
    fun interrupt() = edge { raw.interrupt() }

    /** Interrupts the turn under way and all that wait. */
    fun interruptAll() = edge { raw.interruptAll() }

    /** Reports how many samples of the turn's reply were played in total. */
    fun played(turn: ULong, samplesTotal: ULong) = edge { raw.played(turn, samplesTotal) }

    /** Changes settings from the next turn on. */
    fun update(update: SessionUpdate) = edge { raw.update(update) }

    /** Closes the session without ending it: it can be opened again. */
    override fun close() = edge { raw.closeSession() }

    /** Ends the session for good. */
    fun end() = edge { raw.endSession() }
}
