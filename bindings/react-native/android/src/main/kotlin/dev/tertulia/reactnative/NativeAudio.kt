package dev.tertulia.reactnative

import android.content.Context
import dev.tertulia.android.AndroidDevices
import dev.tertulia.android.AudioDevices
import dev.tertulia.android.AudioFault
import dev.tertulia.android.AudioSession
import dev.tertulia.android.DeviceAudio
import org.json.JSONObject

/** The devices of the audio of every session; an app may set its own before it starts some. */
object TertuliaAudio {
    /** Makes devices; without the focus they leave Android's mode and audio focus to the app. */
    @JvmStatic
    @Volatile
    var devices: (context: Context, managesFocus: Boolean) -> AudioDevices =
        { context, managesFocus -> AndroidDevices(context, managesFocus = managesFocus) }
}

/** The audio of one session. C++ makes it, and gives it what is to be played from one thread. */
internal class NativeAudio private constructor(private val id: Long, options: JSONObject) : AudioSession {
    private val audio = DeviceAudio(
        this,
        TertuliaAudio.devices(context, options.getBoolean("managesFocus")),
        ::fault,
        onRoute = { NativeCalls.news(id, "route_changed", "") },
        onMicrophone = { NativeCalls.news(id, "resumed", "") },
    )

    fun play(turn: Long, rate: Int, samples: FloatArray) = audio.playback.play(turn.toULong(), rate, samples)

    fun pause() = audio.playback.pause()

    fun resume() = audio.playback.resume()

    fun flush(turn: Long) = audio.playback.flush(turn.toULong().takeIf { it > 0u })

    fun hold(isHeld: Boolean) {
        audio.hold(isHeld)
        if (isHeld) NativeCalls.news(id, "interrupted", "")
    }

    fun close() = audio.close()

    override fun pushAudio(samples: ShortArray, count: Int, channels: Int, rate: Int) =
        NativeCalls.push(id, samples, count, channels, rate)

    override fun inputInterrupted() = NativeCalls.interrupted(id)

    override fun inputResumed() = NativeCalls.resumed(id)

    override fun played(turn: ULong, samplesTotal: ULong) = NativeCalls.played(id, turn.toLong(), samplesTotal.toLong())

    private fun fault(fault: AudioFault, error: Throwable?) {
        val news = when {
            fault == AudioFault.FOCUS_LOST -> "interrupted"
            error is SecurityException -> "microphone_not_permitted"
            else -> fault.name.lowercase()
        }
        NativeCalls.news(id, news, error?.toString() ?: "")
    }

    companion object {
        private lateinit var context: Context

        /** Makes this class known to C++. */
        fun install(context: Context) {
            this.context = context
            NativeCalls.install(NativeAudio::class.java)
        }

        @JvmStatic
        fun open(id: Long, options: String): NativeAudio =
            NativeAudio(id, JSONObject(options)).also { it.audio.start() }
    }
}

/** The functions in C++ (AndroidAudio.cpp), by the number of a session. */
internal object NativeCalls {
    @JvmStatic
    external fun install(audio: Class<*>)

    @JvmStatic
    external fun push(id: Long, samples: ShortArray, count: Int, channels: Int, rate: Int)

    @JvmStatic
    external fun interrupted(id: Long)

    @JvmStatic
    external fun resumed(id: Long)

    @JvmStatic
    external fun played(id: Long, turn: Long, samplesTotal: Long)

    @JvmStatic
    external fun news(id: Long, news: String, detail: String)
}
