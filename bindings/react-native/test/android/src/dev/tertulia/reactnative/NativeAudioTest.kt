package dev.tertulia.reactnative

import android.Manifest
import android.app.Application
import android.content.Context
import android.media.AudioManager
import android.os.Looper
import com.facebook.react.bridge.ReactApplicationContext
import dev.tertulia.android.AndroidDevices
import dev.tertulia.android.AudioDevices
import dev.tertulia.android.FakeDevices
import dev.tertulia.android.FakeMicrophone
import dev.tertulia.android.Microphone
import org.junit.After
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowAudioRecord
import org.robolectric.shadows.ShadowAudioTrack
import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

/** The audio of Android through the C++ of the package, on a real engine. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], manifest = Config.NONE)
class NativeAudioTest {
    private val context: Application = RuntimeEnvironment.getApplication()
    private val manager = context.getSystemService(Context.AUDIO_SERVICE) as AudioManager
    private val engine = TestEngine.open()
    private val before = TertuliaAudio.devices
    private val events = mutableListOf<String>()

    @Before
    fun install() {
        val module = TertuliaPackage().getModule("TertuliaAudio", ReactApplicationContext(context)) as TertuliaAudioModule
        assertTrue(module.install())
    }

    @After
    fun close() {
        // Threads of the sandbox end before it does.
        if (isStarted) TestEngine.stop(engine)
        TestEngine.close(engine)
        TertuliaAudio.devices = before
        shadowOf(Looper.getMainLooper()).idle()
    }

    private var isStarted = false

    private fun start(managesFocus: Boolean = true): String {
        isStarted = true
        return TestEngine.start(engine, """{"managesFocus":$managesFocus,"asksForPermission":true}""")
    }

    private fun startWith(vararg microphones: () -> Microphone): FakeDevices {
        val devices = FakeDevices()
        devices.microphones += microphones
        TertuliaAudio.devices = { _, _ -> devices }
        assertEquals("", start())
        return devices
    }

    private fun until(type: String): String {
        reached({ "$type after $events" }) {
            val event = TestEngine.next(engine)
            if (event.isNotEmpty()) events += event
            "\"type\":\"$type\"" in event
        }
        return events.last()
    }

    private fun told(news: String) = reached({ "$news and not ${TestEngine.news(engine)}" }) { TestEngine.news(engine) == news }

    /** Samples of AudioRecord, each of them 7. */
    private fun recorded(): AtomicInteger {
        val read = AtomicInteger()
        ShadowAudioRecord.setSourceProvider {
            object : ShadowAudioRecord.AudioRecordSource {
                override fun readInShortArray(data: ShortArray, offset: Int, count: Int, blocking: Boolean): Int {
                    Thread.sleep(2)
                    data.fill(7, offset, offset + count)
                    read.addAndGet(count)
                    return count
                }
            }
        }
        return read
    }

    @Test
    fun `AudioRecord feeds the engine, and its reply comes out of AudioTrack`() {
        shadowOf(context).grantPermissions(Manifest.permission.RECORD_AUDIO)
        val read = recorded()
        val written = AtomicInteger()
        ShadowAudioTrack.addAudioDataListener { _, _, format ->
            assertEquals(16_000, format.sampleRate)
        }
        ShadowAudioTrack.addAudioDataListener { _, data, _ -> written.addAndGet(data.size / 2) }
        assertEquals("", start())
        reached({ "samples" }) { read.get() >= 16_000 }
        assertEquals(AudioManager.MODE_IN_COMMUNICATION, manager.mode)
        TestEngine.apply(engine, "\"type\":\"end_utterance\"")
        val transcript = until("transcript_done")
        val count = Regex("(\\d+) samples").find(transcript)!!.groupValues[1].toInt()
        assertTrue(count in 15_000..read.get(), "$count of ${read.get()}")
        until("reply_audio_done")
        until("turn_finished")
        assertEquals(3 * 1_600, written.get())
        assertTrue(events.none { "PlaybackNotReported" in it }, "$events")
        TestEngine.stop(engine)
        assertEquals(AudioManager.MODE_NORMAL, manager.mode)
        told("closed")
    }

    @Test
    fun `an interruption is flushed, and the heard text is exact`() {
        val devices = startWith({ FakeMicrophone() })
        devices.limit = 3_300
        TestEngine.apply(engine, "\"type\":\"say\",\"text\":\"Uno dos tres cuatro cinco.\"")
        until("reply_audio_done")
        reached({ "samples" }) { devices.speakers.firstOrNull()?.written == 8_000L }
        TestEngine.apply(engine, "\"type\":\"interrupt\"")
        assertTrue("\"heard_text\":\"Uno dos \"" in until("turn_interrupted"), events.last())
        assertTrue(devices.speakers.first().calls.containsAll(listOf("flush", "close")))
    }

    @Test
    fun `a route of 0 Hz and 2 channels, and a headset that drops to 16 kHz`() {
        val dying = FakeMicrophone()
        val next = FakeMicrophone(44_100, 2)
        startWith({ dying }, { FakeMicrophone(0, 2) }, { next })
        Thread.sleep(100)
        dying.channels = 2
        dying.rate = 0
        told("microphone_format resumed")
        next.rate = 16_000
        next.channels = 1
        TestEngine.apply(engine, "\"type\":\"end_utterance\"")
        until("transcript_done")
        assertEquals("microphone_format resumed", TestEngine.news(engine))
    }

    @Test
    fun `a call takes the microphone and pauses the reply`() {
        val first = FakeMicrophone()
        val devices = startWith({ first }, { FakeMicrophone(16_000) })
        devices.limit = 0
        TestEngine.apply(engine, "\"type\":\"say\",\"text\":\"Uno dos tres.\"")
        until("reply_audio_done")
        reached({ "a loudspeaker" }) { devices.speakers.isNotEmpty() }
        devices.news!!.focusLost()
        reached({ "a closed microphone" }) { first.isClosed }
        assertEquals("pause", devices.speakers.single().calls.last())
        told("interrupted")
        devices.speakers.single().limit = Long.MAX_VALUE
        devices.news!!.focusGained()
        told("interrupted resumed")
        until("turn_finished")
    }

    @Test
    fun `a microphone taken away is had again, and a route is told`() {
        val first = FakeMicrophone()
        val devices = startWith({ first }, { error("busy") }, { FakeMicrophone() }, { FakeMicrophone(16_000) })
        reached({ "no microphone" }) { devices.microphones.size == 3 }
        first.result = -6
        told("microphone_lost microphone_unavailable resumed")
        devices.news!!.routeChanged()
        told("microphone_lost microphone_unavailable resumed route_changed")
        devices.news!!.microphoneSilenced(true)
        devices.news!!.microphoneSilenced(false)
        told("microphone_lost microphone_unavailable resumed route_changed microphone_silent resumed")
    }

    @Test
    fun `the host lets go of the devices and has them again`() {
        val first = FakeMicrophone()
        startWith({ first }, { FakeMicrophone() })
        TestEngine.hold(engine, true)
        told("interrupted")
        reached({ "a closed microphone" }) { first.isClosed }
        TestEngine.hold(engine, false)
        told("interrupted resumed")
    }

    @Test
    fun `a missing permission is told until it is granted`() {
        recorded()
        assertEquals("", start())
        told("microphone_not_permitted")
        shadowOf(context).grantPermissions(Manifest.permission.RECORD_AUDIO)
        told("microphone_not_permitted resumed")
    }

    @Test
    fun `a lost focus interrupts, unless the app manages it`() {
        shadowOf(context).grantPermissions(Manifest.permission.RECORD_AUDIO)
        recorded()
        assertEquals("", start())
        val focus = shadowOf(manager).lastAudioFocusRequest
        val listener = focus.listener ?: focus.audioFocusRequest.onAudioFocusChangeListener!!
        listener.onAudioFocusChange(AudioManager.AUDIOFOCUS_LOSS_TRANSIENT)
        told("interrupted")
        listener.onAudioFocusChange(AudioManager.AUDIOFOCUS_GAIN)
        told("interrupted resumed")
        TestEngine.stop(engine)
        assertEquals("", start(managesFocus = false))
        assertEquals(focus, shadowOf(manager).lastAudioFocusRequest)
        assertEquals(AudioManager.MODE_NORMAL, manager.mode)
    }

    @Test
    fun `a second audio of a session is refused, and one that fails leaves none behind`() {
        TertuliaAudio.devices = { _, _ -> error("no devices here") }
        assertEquals("java.lang.IllegalStateException: no devices here", start())
        val refused = object : AudioDevices by FakeDevices() {
            override fun begin(news: dev.tertulia.android.AudioNews): Boolean = throw SecurityException("no focus")
        }
        TertuliaAudio.devices = { _, _ -> refused }
        reached({ "the end of the first" }) { TestEngine.news(engine) == "closed" }
        assertEquals("java.lang.SecurityException: no focus", start())
        reached({ "the end of the second" }) { TestEngine.news(engine) == "closed closed" }
        startWith({ FakeMicrophone() })
        assertFailsWith<IllegalStateException> { start() }
        TestEngine.stop(engine)
        TestEngine.stop(engine)
    }

    @Test
    fun `50 times audio, and its session closed in the middle`() {
        repeat(50) {
            val other = TestEngine.open()
            TertuliaAudio.devices = { _, _ -> FakeDevices().also { it.microphones += { FakeMicrophone() } } }
            assertEquals("", TestEngine.start(other, "{\"managesFocus\":true}"))
            TestEngine.apply(other, "\"type\":\"say\",\"text\":\"Uno dos tres.\"")
            if (it % 2 == 0) TestEngine.apply(other, "\"type\":\"close_session\"")
            if (it % 3 == 0) TestEngine.stop(other)
            // It is freed once its threads are gone.
            TestEngine.stop(other)
            TestEngine.close(other)
        }
        assertTrue(before(context, true) is AndroidDevices)
    }
}
