package dev.tertulia.android

import dev.tertulia.TertuliaEvent
import dev.tertulia.TertuliaEventKind
import dev.tertulia.TertuliaSession
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.onEach

/**
 * The microphone and the loudspeaker of a session: captures on a thread of its own, plays the replies of [events], and
 * reports what was played. The session learns when the microphone is taken away and when it is back; [onFault] learns why.
 * Whatever happens to the devices, it tries again until it is closed.
 */
class SessionAudio(
    session: AudioSession,
    devices: AudioDevices,
    onFault: (AudioFault, Throwable?) -> Unit,
) : AutoCloseable {
    private val audio = DeviceAudio(session, devices, onFault)

    constructor(session: TertuliaSession, devices: AudioDevices, onFault: (AudioFault, Throwable?) -> Unit) :
        this(session.forAudio(), devices, onFault)

    /** Takes the audio focus, opens the microphone, and plays. Without the focus it waits for it. */
    fun start() = audio.start()

    /** The events of a session, whose replies are played as they are collected. */
    fun playing(events: Flow<TertuliaEvent>): Flow<TertuliaEvent> = events.onEach { take(it) }

    /** Stops both threads and lets go of the devices. */
    override fun close() = audio.close()

    private fun take(event: TertuliaEvent) {
        when (val kind = event.kind) {
            is TertuliaEventKind.ReplyAudioDelta -> audio.playback.play(event.turn!!, kind.rate, kind.samples())
            TertuliaEventKind.PlaybackPause -> audio.playback.pause()
            TertuliaEventKind.PlaybackResume -> audio.playback.resume()
            TertuliaEventKind.PlaybackFlush -> audio.playback.flush(event.turn)
            else -> {}
        }
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
