/** Interfaces of audio devices, which a host may implement itself. */
package dev.tertulia.android

/** A microphone, read by one thread. */
interface Microphone : AutoCloseable {
    /** Samples per second of what [read] gives now. It may change in mid-stream, and be 0 while a route changes. */
    val rate: Int

    /** Interleaved channels of what [read] gives now. */
    val channels: Int

    /** Waits for samples and gives their number; a negative number where the microphone is gone. */
    fun read(block: ShortArray): Int
}

/** A loudspeaker of mono samples, written by one thread. */
interface Speaker : AutoCloseable {
    /** Samples that reached the user's ear since it was opened. */
    val played: Long

    /** Takes samples and gives their number, which may be less; a negative number where the loudspeaker is gone. */
    fun write(samples: FloatArray, from: Int, count: Int): Int

    /** Pauses, and keeps what was written. */
    fun pause()

    /** Goes on. */
    fun resume()

    /** Drops what was written and not played. */
    fun flush()
}

/** The platform's part of [SessionAudio]: devices, and news of them. */
interface AudioDevices {
    /** Opens the microphone of the current route; throws where it cannot be had. */
    fun openMicrophone(): Microphone

    /** Opens the loudspeaker of the current route; throws where it cannot be had. */
    fun openSpeaker(rate: Int): Speaker

    /** Takes the audio focus and begins to tell news; false where the focus was refused. */
    fun begin(news: AudioNews): Boolean

    /** Gives the audio focus back and tells no more. */
    fun end()
}

/** News of the platform's, on any thread. */
interface AudioNews {
    /** Another app has the audio focus, such as a call. */
    fun focusLost()

    /** The audio focus is back. */
    fun focusGained()

    /** The devices changed: a headset came or went, or has another rate. */
    fun routeChanged()

    /** The system gives silence in the place of the microphone's samples, or gives them again. */
    fun microphoneSilenced(isSilenced: Boolean)
}

/** A fault of an audio device. Capture and playback are tried again by themselves. */
enum class AudioFault {
    /** The microphone could not be opened, or the permission is missing. */
    MICROPHONE_UNAVAILABLE,

    /** The microphone ended in mid-stream. */
    MICROPHONE_LOST,

    /** The route's microphone has no rate or no channel. */
    MICROPHONE_FORMAT,

    /** The microphone gives nothing but zeros: another app has it, or the user has turned it off. */
    MICROPHONE_SILENT,

    /** The microphone gives no samples at all. */
    MICROPHONE_STALLED,

    /** The audio focus was refused or lost, such as to a call. */
    FOCUS_LOST,

    /** The loudspeaker could not be opened, or ended. */
    SPEAKER_UNAVAILABLE,
}
