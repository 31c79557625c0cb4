package dev.tertulia.android

import java.util.concurrent.CopyOnWriteArrayList
import kotlin.test.AfterTest
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The microphone under every change that a platform makes. */
class CaptureTest {
    private val session = RecordingSession()
    private val devices = FakeDevices()
    private val faults = CopyOnWriteArrayList<AudioFault>()
    private val audio = SessionAudio(session, devices) { fault, _ -> faults += fault }

    @AfterTest
    fun close() {
        val start = System.nanoTime()
        audio.close()
        assertTrue(System.nanoTime() - start < 2_000_000_000, "closing hangs")
        val count = session.calls.size
        Thread.sleep(20)
        assertEquals(count, session.calls.size, "audio after the end")
    }

    private fun start(vararg microphones: () -> Microphone) {
        devices.microphones += microphones
        audio.start()
    }

    private fun changesTo(vararg expected: String) {
        for (attempt in 1..400) {
            if (session.changes == expected.toList()) return
            Thread.sleep(10)
        }
        assertEquals(expected.toList(), session.changes)
    }

    @Test
    fun `a route of 0 Hz and 2 channels interrupts, and the next one resumes`() {
        val dying = FakeMicrophone()
        start({ dying }, { FakeMicrophone(0, 2) }, { FakeMicrophone(44_100, 2) })
        changesTo("audio 48000 x1")
        dying.channels = 2
        dying.rate = 0
        changesTo("audio 48000 x1", "interrupted", "resumed", "audio 44100 x2")
        assertEquals(listOf(AudioFault.MICROPHONE_FORMAT), faults)
        assertTrue(dying.isClosed)
    }

    @Test
    fun `a headset that drops to 16 kHz in mid-stream goes on at that rate`() {
        val headset = FakeMicrophone()
        start({ headset })
        changesTo("audio 48000 x1")
        headset.rate = 16_000
        changesTo("audio 48000 x1", "audio 16000 x1")
        assertEquals(emptyList(), faults)
    }

    @Test
    fun `a changed route is opened again without a gap for the session`() {
        val first = FakeMicrophone()
        start({ first }, { FakeMicrophone(16_000) })
        changesTo("audio 48000 x1")
        devices.news!!.routeChanged()
        changesTo("audio 48000 x1", "audio 16000 x1")
        assertTrue(first.isClosed)
    }

    @Test
    fun `a call takes the microphone and gives it back`() {
        val first = FakeMicrophone()
        start({ first }, { FakeMicrophone(16_000) })
        changesTo("audio 48000 x1")
        devices.news!!.focusLost()
        changesTo("audio 48000 x1", "interrupted")
        while (!first.isClosed) Thread.sleep(1)
        assertEquals(1, devices.microphones.size, "it was not opened during the call")
        devices.news!!.focusGained()
        changesTo("audio 48000 x1", "interrupted", "resumed", "audio 16000 x1")
        assertEquals(listOf(AudioFault.FOCUS_LOST), faults)
    }

    @Test
    fun `a conversation begun during a call waits for its end`() {
        devices.hasFocus = false
        start({ FakeMicrophone() })
        changesTo("interrupted")
        assertEquals(listOf(AudioFault.FOCUS_LOST), faults)
        devices.news!!.focusGained()
        changesTo("interrupted", "resumed", "audio 48000 x1")
    }

    @Test
    fun `a microphone taken away is tried again until it is back`() {
        val first = FakeMicrophone()
        start({ first }, { throw SecurityException("no permission") }, { error("busy") }, { FakeMicrophone() })
        changesTo("audio 48000 x1")
        first.result = -6
        changesTo("audio 48000 x1", "interrupted", "resumed", "audio 48000 x1")
        assertEquals(listOf(AudioFault.MICROPHONE_LOST, AudioFault.MICROPHONE_UNAVAILABLE), faults)
    }

    @Test
    fun `a reading thread that throws ends nothing`() {
        val broken = object : Microphone by FakeMicrophone() {
            override fun read(block: ShortArray): Int = throw IllegalStateException("released")
        }
        start({ broken }, { FakeMicrophone() })
        changesTo("interrupted", "resumed", "audio 48000 x1")
        assertEquals(listOf(AudioFault.MICROPHONE_LOST), faults)
    }

    @Test
    fun `zeros are no microphone`() {
        val muted = FakeMicrophone()
        start({ muted })
        changesTo("audio 48000 x1")
        muted.level = 0
        changesTo("audio 48000 x1", "interrupted")
        assertEquals(listOf(AudioFault.MICROPHONE_SILENT), faults)
        muted.level = 900
        changesTo("audio 48000 x1", "interrupted", "resumed", "audio 48000 x1")
    }

    @Test
    fun `a microphone that the system silences is told at once`() {
        start({ FakeMicrophone() })
        changesTo("audio 48000 x1")
        devices.news!!.microphoneSilenced(true)
        changesTo("audio 48000 x1", "interrupted")
        devices.news!!.microphoneSilenced(false)
        changesTo("audio 48000 x1", "interrupted", "resumed", "audio 48000 x1")
        assertEquals(listOf(AudioFault.MICROPHONE_SILENT), faults)
    }

    @Test
    fun `a microphone that stalls is told, and opened again when it moves`() {
        val stalled = FakeMicrophone()
        start({ stalled }, { FakeMicrophone(16_000) })
        changesTo("audio 48000 x1")
        stalled.isBlocked = true
        changesTo("audio 48000 x1", "interrupted")
        assertEquals(listOf(AudioFault.MICROPHONE_STALLED), faults)
        stalled.isBlocked = false
        Thread.sleep(50)
        for (attempt in 1..200) if (session.changes.last() != "audio 16000 x1") Thread.sleep(10)
        assertEquals("audio 16000 x1", session.changes.last())
        assertTrue("resumed" in session.changes)
    }
}
