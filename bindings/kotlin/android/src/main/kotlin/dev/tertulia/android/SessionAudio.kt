package dev.tertulia.android

import dev.tertulia.TertuliaEvent
import dev.tertulia.TertuliaSession
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.onEach

/** The calls of a session that audio needs. */
interface AudioSession {
    fun pushAudio(samples: ShortArray, count: Int, channels: Int, rate: Int)

    fun inputInterrupted()

    fun inputResumed()

    fun played(turn: ULong, samplesTotal: ULong)
}

/**
 * The microphone and the loudspeaker of a session: captures on a thread of its own, plays the replies of [events], and
 * reports what was played. The session learns when the microphone is taken away and when it is back; [onFault] learns why.
 * Whatever happens to the devices, it tries again until it is closed.
 */
class SessionAudio(
    private val session: AudioSession,
    private val devices: AudioDevices,
    private val onFault: (AudioFault, Throwable?) -> Unit,
) : AutoCloseable {
    private val playback = Playback(session, devices) { onFault(AudioFault.SPEAKER_UNAVAILABLE, it) }
    private val capture = Capture(session, devices, onFault)

    constructor(session: TertuliaSession, devices: AudioDevices, onFault: (AudioFault, Throwable?) -> Unit) :
        this(session.forAudio(), devices, onFault)

    private val news = object : AudioNews {
        override fun focusLost() {
            onFault(AudioFault.FOCUS_LOST, null)
            capture.hold(true)
            playback.hold(true)
        }

        override fun focusGained() {
            capture.hold(false)
            playback.hold(false)
        }

        override fun routeChanged() = capture.reopen()

        override fun microphoneSilenced(isSilenced: Boolean) = capture.silenced(isSilenced)
    }

    /** Takes the audio focus, opens the microphone, and plays. Without the focus it waits for it. */
    fun start() {
        if (!devices.begin(news)) news.focusLost()
        capture.start()
        playback.start()
    }

    /** The events of a session, whose replies are played as they are collected. */
    fun playing(events: Flow<TertuliaEvent>): Flow<TertuliaEvent> = events.onEach { playback.take(it) }

    /** Stops both threads and lets go of the devices. */
    override fun close() {
        devices.end()
        capture.close()
        playback.close()
    }
}

private fun TertuliaSession.forAudio() =
    object : AudioSession {
        override fun pushAudio(samples: ShortArray, count: Int, channels: Int, rate: Int) =
            if (channels == 1) {
                this@forAudio.pushAudio(samples, rate, 0, count)
            } else {
                pushInterleaved(FloatArray(count) { samples[it] / 32_768f }, channels, rate)
            }

        override fun inputInterrupted() = this@forAudio.inputInterrupted()

        override fun inputResumed() = this@forAudio.inputResumed()

        override fun played(turn: ULong, samplesTotal: ULong) = this@forAudio.played(turn, samplesTotal)
    }
