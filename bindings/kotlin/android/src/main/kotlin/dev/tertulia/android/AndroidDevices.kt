package dev.tertulia.android

import android.Manifest
import android.annotation.SuppressLint
import android.content.Context
import android.content.pm.PackageManager
import android.media.AudioAttributes
import android.media.AudioDeviceCallback
import android.media.AudioDeviceInfo
import android.media.AudioFocusRequest
import android.media.AudioFormat
import android.media.AudioManager
import android.media.AudioRecord
import android.media.AudioRecordingConfiguration
import android.media.AudioTrack
import android.media.MediaRecorder
import android.os.Build
import android.os.Handler
import android.os.Looper
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Android's devices for a conversation: the source, usage and mode of voice communication, so that the platform cancels
 * echo, and the audio focus. Needs API 26 and the permission RECORD_AUDIO. A host overrides what it wants otherwise; one
 * that sets mode and focus itself has them not managed.
 */
open class AndroidDevices(
    private val context: Context,
    private val rate: Int = 16_000,
    private val source: Int = MediaRecorder.AudioSource.VOICE_COMMUNICATION,
    private val mode: Int = AudioManager.MODE_IN_COMMUNICATION,
    private val managesFocus: Boolean = true,
) : AudioDevices {
    protected val manager: AudioManager = context.getSystemService(AudioManager::class.java)

    /** How replies are played. */
    protected open val attributes: AudioAttributes =
        AudioAttributes.Builder()
            .setUsage(AudioAttributes.USAGE_VOICE_COMMUNICATION)
            .setContentType(AudioAttributes.CONTENT_TYPE_SPEECH)
            .build()

    private val handler = Handler(Looper.getMainLooper())
    private var end: (() -> Unit)? = null

    @Volatile private var recording = 0

    @SuppressLint("MissingPermission") // It is checked.
    override fun openMicrophone(): Microphone {
        if (context.checkSelfPermission(Manifest.permission.RECORD_AUDIO) != PackageManager.PERMISSION_GRANTED) {
            throw SecurityException("the permission RECORD_AUDIO is missing")
        }
        val channel = AudioFormat.CHANNEL_IN_MONO
        val bytesMin = AudioRecord.getMinBufferSize(rate, channel, AudioFormat.ENCODING_PCM_16BIT)
        check(bytesMin > 0) { "no microphone at $rate Hz" }
        // A fifth of a second, so that a busy phone loses nothing.
        val record = AudioRecord(source, rate, channel, AudioFormat.ENCODING_PCM_16BIT, maxOf(bytesMin, rate * 2 / 5))
        if (record.state != AudioRecord.STATE_INITIALIZED) {
            record.release()
            error("the microphone was not initialised")
        }
        record.startRecording()
        recording = record.audioSessionId
        return AndroidMicrophone(record)
    }

    override fun openSpeaker(rate: Int): Speaker {
        val format = AudioFormat.Builder()
            .setEncoding(AudioFormat.ENCODING_PCM_16BIT)
            .setSampleRate(rate)
            .setChannelMask(AudioFormat.CHANNEL_OUT_MONO)
            .build()
        val bytesMin = AudioTrack.getMinBufferSize(rate, AudioFormat.CHANNEL_OUT_MONO, AudioFormat.ENCODING_PCM_16BIT)
        val track = AudioTrack.Builder()
            .setAudioAttributes(attributes)
            .setAudioFormat(format)
            .setBufferSizeInBytes(maxOf(bytesMin, rate * 2 / 5))
            .build()
        if (track.state != AudioTrack.STATE_INITIALIZED) {
            track.release()
            error("the loudspeaker was not initialised")
        }
        track.play()
        return AndroidSpeaker(track)
    }

    override fun begin(news: AudioNews): Boolean {
        end()
        val devices = Devices(news)
        val recordings = Recordings(news)
        manager.registerAudioDeviceCallback(devices, handler)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) manager.registerAudioRecordingCallback(recordings, handler)
        val stop = {
            manager.unregisterAudioDeviceCallback(devices)
            if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) manager.unregisterAudioRecordingCallback(recordings)
        }
        end = stop
        if (!managesFocus) return true
        val modeBefore = manager.mode
        manager.mode = mode
        val focus = AudioFocusRequest.Builder(AudioManager.AUDIOFOCUS_GAIN_TRANSIENT)
            .setAudioAttributes(attributes)
            .setOnAudioFocusChangeListener({ change -> focusChanged(change, news) }, handler)
            .build()
        end = {
            stop()
            manager.abandonAudioFocusRequest(focus)
            manager.mode = modeBefore
        }
        return manager.requestAudioFocus(focus) == AudioManager.AUDIOFOCUS_REQUEST_GRANTED
    }

    override fun end() {
        end?.invoke()
        end = null
    }

    private fun focusChanged(change: Int, news: AudioNews) =
        when (change) {
            AudioManager.AUDIOFOCUS_GAIN, AudioManager.AUDIOFOCUS_GAIN_TRANSIENT -> news.focusGained()
            AudioManager.AUDIOFOCUS_LOSS, AudioManager.AUDIOFOCUS_LOSS_TRANSIENT -> news.focusLost()
            // The platform makes others' sounds or ours quieter by itself.
            else -> {}
        }

    private class Devices(private val news: AudioNews) : AudioDeviceCallback() {
        private var isFirst = true

        override fun onAudioDevicesAdded(added: Array<AudioDeviceInfo>) {
            // The first call lists the devices that were there.
            if (!isFirst) news.routeChanged()
            isFirst = false
        }

        override fun onAudioDevicesRemoved(removed: Array<AudioDeviceInfo>) = news.routeChanged()
    }

    private inner class Recordings(private val news: AudioNews) : AudioManager.AudioRecordingCallback() {
        override fun onRecordingConfigChanged(configs: List<AudioRecordingConfiguration>) {
            val own = configs.find { it.clientAudioSessionId == recording } ?: return
            news.microphoneSilenced(own.isClientSilenced)
        }
    }
}

private class AndroidMicrophone(private val record: AudioRecord) : Microphone {
    override val rate get() = record.sampleRate
    override val channels get() = record.channelCount

    override fun read(block: ShortArray) = record.read(block, 0, block.size)

    override fun close() {
        runCatching { record.stop() }
        record.release()
    }
}

private class AndroidSpeaker(private val track: AudioTrack) : Speaker {
    // The head is an unsigned 32-bit number, which wraps after a day.
    override val played get() = track.playbackHeadPosition.toLong() and 0xffff_ffffL

    override fun write(samples: FloatArray, from: Int, count: Int): Int {
        val pcm = ByteBuffer.allocate(count * 2).order(ByteOrder.nativeOrder())
        for (at in from until from + count) pcm.putShort((samples[at].coerceIn(-1f, 1f) * 32_767f).toInt().toShort())
        pcm.flip()
        val bytes = track.write(pcm, count * 2, AudioTrack.WRITE_NON_BLOCKING)
        return if (bytes < 0) bytes else bytes / 2
    }

    override fun pause() = track.pause()

    override fun resume() = track.play()

    override fun flush() {
        track.pause()
        track.flush()
    }

    override fun close() = track.release()
}
