package dev.tertulia.android

import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.thread
import kotlin.concurrent.withLock

/** The interval of reports, in ms. */
private const val REPORT_MS = 50L

/** The thread that plays replies, and reports how much of each was played. */
internal class Playback(
    private val session: AudioSession,
    private val devices: AudioDevices,
    private val onFault: (Throwable?) -> Unit,
) : AutoCloseable {
    private class Chunk(val turn: ULong, val rate: Int, val samples: FloatArray, var written: Int = 0)

    /** The samples of one turn at the loudspeaker: those before it, and how many were written. */
    private class Part(val turn: ULong, val start: Long, var written: Long = 0, var reported: Long = 0)

    private val lock = ReentrantLock()
    private val changed = lock.newCondition()
    private val chunks = ArrayDeque<Chunk>()
    private val parts = ArrayDeque<Part>()
    private var isOpen = true
    private var isHeld = false
    private var isPaused = false
    private var speaker: Speaker? = null
    private var speakerRate = 0
    private var writtenTotal = 0L
    private var player: Thread? = null

    fun start() {
        player = thread(name = "tertulia speaker", isDaemon = true) {
            while (lock.withLock { isOpen }) lock.withLock { step() }
        }
    }

    /** Plays mono samples after those that are there. */
    fun play(turn: ULong, rate: Int, samples: FloatArray) = change { chunks += Chunk(turn, rate, samples) }

    fun pause() = change { isPaused = true }

    fun resume() = change { isPaused = false }

    /** Drops what was not played, and reports a last time how much of the turn was. */
    fun flush(turn: ULong?) = change { drop(turn) }

    fun hold(hold: Boolean) = change { isHeld = hold }

    override fun close() {
        change { isOpen = false }
        player?.join(2 * RETRY_MS)
        lock.withLock {
            parts.clear()
            closeSpeaker()
        }
    }

    private fun change(change: () -> Unit) = lock.withLock {
        change()
        val isStopped = isPaused || isHeld
        runCatching { speaker?.let { if (isStopped) it.pause() else it.resume() } }
        changed.signalAll()
    }

    private fun drop(turn: ULong?) {
        report(isLast = true)
        if (turn != null && parts.none { it.turn == turn }) runCatching { session.played(turn, 0u) }
        chunks.clear()
        parts.clear()
        isPaused = false
        // The next reply has a loudspeaker with nothing in it.
        runCatching { speaker?.flush() }
        closeSpeaker()
    }

    /** Writes some samples, or waits. */
    private fun step() {
        val chunk = chunks.firstOrNull()
        if (chunk == null || isPaused || isHeld) {
            report()
            changed.awaitNanos(REPORT_MS * 1_000_000)
            return
        }
        val speaker = speakerFor(chunk.rate)
        val count = try {
            speaker?.write(chunk.samples, chunk.written, minOf(chunk.samples.size - chunk.written, chunk.rate / 25)) ?: 0
        } catch (error: Exception) {
            lost(error)
            return
        }
        if (count < 0) return lost(null)
        part(chunk.turn).written += count
        writtenTotal += count
        chunk.written += count
        if (chunk.written == chunk.samples.size) chunks.removeFirst()
        report()
        if (count == 0) changed.awaitNanos(REPORT_MS * 1_000_000)
    }

    private fun part(turn: ULong): Part =
        parts.lastOrNull()?.takeIf { it.turn == turn } ?: Part(turn, writtenTotal).also { parts += it }

    /** The open loudspeaker, or one of this rate once the other has played everything; null where there is none yet. */
    private fun speakerFor(rate: Int): Speaker? {
        val open = speaker
        if (open != null && speakerRate == rate) return open
        if (open != null && open.played < writtenTotal) return null
        report()
        closeSpeaker()
        try {
            speaker = devices.openSpeaker(rate)
        } catch (error: Exception) {
            onFault(error)
            changed.awaitNanos(RETRY_MS * 1_000_000)
            return null
        }
        speakerRate = rate
        return speaker
    }

    private fun lost(error: Throwable?) {
        onFault(error)
        report()
        closeSpeaker()
        changed.awaitNanos(RETRY_MS * 1_000_000)
    }

    private fun closeSpeaker() {
        runCatching { speaker?.close() }
        speaker = null
        // What was written and is lost counts as played, so that no turn waits for it.
        for (part in parts) if (part.reported < part.written) runCatching { session.played(part.turn, part.written.toULong()) }
        val last = parts.lastOrNull()
        parts.clear()
        writtenTotal = 0
        last?.let { parts += Part(it.turn, -it.written, it.written, it.written) }
    }

    /** Reports each turn's samples that were played, where they are more than before. */
    private fun report(isLast: Boolean = false) {
        val played = runCatching { speaker?.played }.getOrNull() ?: 0
        for (part in parts) {
            val count = (played - part.start).coerceIn(part.reported, part.written)
            if (count > part.reported || isLast) runCatching { session.played(part.turn, count.toULong()) }
            part.reported = count
        }
        while (parts.size > 1 && parts.first().reported == parts.first().written) parts.removeFirst()
    }
}
