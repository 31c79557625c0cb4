package dev.tertulia.android

import android.Manifest
import android.app.Application
import android.content.Context
import android.media.AudioDeviceInfo
import android.media.AudioManager
import android.media.MediaRecorder
import android.os.Looper
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.AudioDeviceInfoBuilder
import org.robolectric.shadows.ShadowAudioRecord
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/** Android's devices, with injected notifications. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], manifest = Config.NONE)
class AndroidDevicesTest {
    private val context: Application = RuntimeEnvironment.getApplication()
    private val manager = context.getSystemService(Context.AUDIO_SERVICE) as AudioManager
    private val told = CopyOnWriteArrayList<String>()
    private val news = object : AudioNews {
        override fun focusLost() = Unit.also { told += "lost" }

        override fun focusGained() = Unit.also { told += "gained" }

        override fun routeChanged() = Unit.also { told += "route" }

        override fun microphoneSilenced(isSilenced: Boolean) = Unit.also { told += "silenced $isSilenced" }
    }

    @Test
    fun `the focus, the mode, and the route are told and given back`() {
        val devices = AndroidDevices(context)
        assertTrue(devices.begin(news))
        assertEquals(AudioManager.MODE_IN_COMMUNICATION, manager.mode)
        val focus = shadowOf(manager).lastAudioFocusRequest
        val listener = focus.listener ?: focus.audioFocusRequest.onAudioFocusChangeListener!!
        listener.onAudioFocusChange(AudioManager.AUDIOFOCUS_LOSS_TRANSIENT)
        listener.onAudioFocusChange(AudioManager.AUDIOFOCUS_LOSS_TRANSIENT_CAN_DUCK)
        listener.onAudioFocusChange(AudioManager.AUDIOFOCUS_GAIN)
        shadowOf(Looper.getMainLooper()).idle()
        assertEquals(listOf("lost", "gained"), told)
        val headset = AudioDeviceInfoBuilder.newBuilder().setType(AudioDeviceInfo.TYPE_BLUETOOTH_SCO).build()
        shadowOf(manager).addInputDevice(headset, true)
        shadowOf(Looper.getMainLooper()).idle()
        shadowOf(manager).removeInputDevice(headset, true)
        shadowOf(Looper.getMainLooper()).idle()
        assertTrue(told.drop(2).isNotEmpty() && told.drop(2).all { it == "route" })
        devices.end()
        assertEquals(AudioManager.MODE_NORMAL, manager.mode)
        val count = told.size
        shadowOf(manager).addInputDevice(headset, true)
        shadowOf(Looper.getMainLooper()).idle()
        assertEquals(count, told.size)
    }

    @Test
    fun `a refused focus is told`() {
        shadowOf(manager).setNextFocusRequestResponse(AudioManager.AUDIOFOCUS_REQUEST_FAILED)
        assertEquals(false, AndroidDevices(context).begin(news))
    }

    @Test
    fun `the microphone needs its permission, and gives samples`() {
        val devices = AndroidDevices(context)
        assertFailsWith<SecurityException> { devices.openMicrophone() }
        shadowOf(context).grantPermissions(Manifest.permission.RECORD_AUDIO)
        var source = -1
        ShadowAudioRecord.setSourceProvider { record ->
            source = record.audioSource
            object : ShadowAudioRecord.AudioRecordSource {
                override fun readInShortArray(data: ShortArray, offset: Int, count: Int, blocking: Boolean): Int {
                    data.fill(7, offset, offset + count)
                    return count
                }
            }
        }
        devices.openMicrophone().use {
            val block = ShortArray(320)
            assertEquals(320, it.read(block))
            assertEquals(16_000 to 1, it.rate to it.channels)
            assertEquals(7, block.last())
        }
        assertEquals(MediaRecorder.AudioSource.VOICE_COMMUNICATION, source)
    }

    @Test
    fun `the loudspeaker takes samples`() {
        AndroidDevices(context).openSpeaker(24_000).use {
            assertEquals(480, it.write(FloatArray(480), 0, 480))
            it.pause()
            it.resume()
            assertTrue(it.played >= 0)
            it.flush()
        }
    }
}
