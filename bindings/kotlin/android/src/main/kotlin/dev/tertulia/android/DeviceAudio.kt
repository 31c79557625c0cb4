package dev.tertulia.android

/** The calls of a session that audio needs. */
interface AudioSession {
    fun pushAudio(samples: ShortArray, count: Int, channels: Int, rate: Int)

    fun inputInterrupted()

    fun inputResumed()

    fun played(turn: ULong, samplesTotal: ULong)
}

/**
 * The microphone and the loudspeaker of a session of any package: captures on a thread of its own, plays what it is given,
 * and reports what was played. Whatever happens to the devices, it tries again until it is closed.
 */
internal class DeviceAudio(
    session: AudioSession,
    private val devices: AudioDevices,
    private val onFault: (AudioFault, Throwable?) -> Unit,
    private val onRoute: () -> Unit = {},
    onMicrophone: () -> Unit = {},
) : AutoCloseable {
    val playback = Playback(session, devices) { onFault(AudioFault.SPEAKER_UNAVAILABLE, it) }
    private val capture = Capture(session, devices, onFault, onMicrophone)

    private val news = object : AudioNews {
        override fun focusLost() {
            onFault(AudioFault.FOCUS_LOST, null)
            hold(true)
        }

        override fun focusGained() = hold(false)

        override fun routeChanged() {
            capture.reopen()
            onRoute()
        }

        override fun microphoneSilenced(isSilenced: Boolean) = capture.silenced(isSilenced)
    }

    /** Takes the audio focus, opens the microphone, and plays. Without the focus it waits for it. */
    fun start() {
        if (!devices.begin(news)) news.focusLost()
        capture.start()
        playback.start()
    }

    /** Lets go of the microphone, and pauses. */
    fun hold(isHeld: Boolean) {
        capture.hold(isHeld)
        playback.hold(isHeld)
    }

    /** Stops both threads and lets go of the devices. */
    override fun close() {
        devices.end()
        capture.close()
        playback.close()
    }
}
