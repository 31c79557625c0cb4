package dev.tertulia.android

import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.thread
import kotlin.concurrent.withLock

/** Retries of a device, in ms. */
internal const val RETRY_MS = 250L

/** Zeros for so long are no microphone: a real one has noise. */
private const val ZEROS_MS = 2_000

/** A microphone without any samples for so long is stalled. */
private const val STALL_MS = 1_000L

/** The thread that reads the microphone, and what the session knows of it. */
internal class Capture(
    private val session: AudioSession,
    private val devices: AudioDevices,
    private val onFault: (AudioFault, Throwable?) -> Unit,
    private val onSamples: () -> Unit,
) : AutoCloseable {
    private val lock = ReentrantLock()
    private val changed = lock.newCondition()
    private var isOpen = true
    private var isHeld = false
    private var isSilenced = false
    private var route = 0
    private var isInterrupted = false

    /** The host knows of no fault. */
    private var isTold = true
    private var lastFault: AudioFault? = null

    @Volatile private var lastSamples = System.nanoTime()
    private var reader: Thread? = null
    private var watchdog: Thread? = null

    fun start() {
        lastSamples = System.nanoTime()
        reader = thread(name = "tertulia microphone", isDaemon = true) { while (isOpen()) capture() }
        watchdog = thread(name = "tertulia microphone watch", isDaemon = true) { while (isOpen()) watch() }
    }

    /** Lets go of the microphone while another app has the focus. */
    fun hold(hold: Boolean) {
        change {
            isHeld = hold
            if (hold) interrupt(null)
        }
    }

    fun reopen() = change { route++ }

    fun silenced(silenced: Boolean) {
        change { isSilenced = silenced }
        if (silenced) interrupt(AudioFault.MICROPHONE_SILENT)
    }

    override fun close() {
        change { isOpen = false }
        reader?.join(2 * RETRY_MS)
        watchdog?.join(2 * RETRY_MS)
    }

    private fun change(change: () -> Unit) = lock.withLock {
        change()
        changed.signalAll()
    }

    private fun isOpen() = lock.withLock { isOpen }

    private fun await(ms: Long) = lock.withLock { if (isOpen) changed.awaitNanos(ms * 1_000_000) }

    /** One opening of the microphone, until it ends or another is wanted. */
    private fun capture() {
        val route = lock.withLock { if (isHeld) null else this.route }
        if (route == null) {
            await(RETRY_MS)
            return
        }
        val microphone = try {
            devices.openMicrophone()
        } catch (error: Exception) {
            interrupt(AudioFault.MICROPHONE_UNAVAILABLE, error)
            await(RETRY_MS)
            return
        }
        try {
            microphone.use { read(it, route) }
        } catch (error: Exception) {
            interrupt(AudioFault.MICROPHONE_LOST, error)
        }
        if (lock.withLock { isInterrupted }) await(RETRY_MS)
    }

    private fun read(microphone: Microphone, route: Int) {
        var zerosMs = 0
        while (lock.withLock { isOpen && !isHeld && route == this.route }) {
            val (rate, channels) = microphone.rate to microphone.channels
            if (rate !in 8_000..192_000 || channels !in 1..8) return interrupt(AudioFault.MICROPHONE_FORMAT)
            val block = ShortArray(rate / 50 * channels)
            val count = microphone.read(block)
            if (count < 0) return interrupt(AudioFault.MICROPHONE_LOST)
            // A block that was read across a change has the samples of neither format.
            if (count == 0 || rate != microphone.rate || channels != microphone.channels) continue
            lastSamples = System.nanoTime()
            val isSilent = (0 until count).all { block[it].toInt() == 0 }
            zerosMs = if (isSilent) zerosMs + 1_000 * count / channels / rate else 0
            if (zerosMs >= ZEROS_MS) interrupt(AudioFault.MICROPHONE_SILENT)
            // The first blocks after a fault may be zeros that a dead route gives.
            give(route, isMuted = zerosMs >= ZEROS_MS, isSilent) {
                session.pushAudio(block, count / channels * channels, channels, rate)
            }
        }
    }

    /** Gives the session a block, unless the microphone was taken away while it was read. */
    private fun give(route: Int, isMuted: Boolean, isSilent: Boolean, push: () -> Unit) {
        val isNews = lock.withLock {
            if (!isOpen || isHeld || isSilenced || isMuted || route != this.route || isSilent && isInterrupted) return
            lastFault = null
            if (isInterrupted) {
                isInterrupted = false
                runCatching { session.inputResumed() }
            }
            push()
            !isTold.also { isTold = true }
        }
        if (isNews) onSamples()
    }

    private fun watch() {
        await(RETRY_MS)
        val isWanted = lock.withLock { isOpen && !isHeld }
        if (!isWanted) lastSamples = System.nanoTime()
        if (System.nanoTime() - lastSamples < STALL_MS * 1_000_000) return
        lastSamples = System.nanoTime()
        interrupt(AudioFault.MICROPHONE_STALLED)
        reopen()
    }

    /** Tells the session once, and the host each new fault. */
    private fun interrupt(fault: AudioFault?, error: Throwable? = null) {
        val isNew = lock.withLock {
            if (!isInterrupted && isOpen) runCatching { session.inputInterrupted() }
            isInterrupted = true
            isTold = false
            (fault != null && fault != lastFault).also { if (fault != null) lastFault = fault }
        }
        if (fault != null && isNew) onFault(fault, error)
    }
}
