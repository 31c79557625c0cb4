package dev.tertulia.examples

import dev.tertulia.ErrorCode
import dev.tertulia.EngineOptions
import dev.tertulia.ModelState
import dev.tertulia.ModelStore
import dev.tertulia.SessionConfig
import dev.tertulia.SynthesisRequest
import dev.tertulia.TertuliaEngine
import dev.tertulia.TertuliaException
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.io.TempDir
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.PrintStream
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertTrue

/** The examples, run as their pages say. */
class ExamplesTest {
    @TempDir
    lateinit var folder: File

    private fun program(name: String, vararg arguments: String): String {
        val output = ByteArrayOutputStream()
        val before = System.out
        System.setOut(PrintStream(output, true, "UTF-8"))
        try {
            val main = Class.forName("dev.tertulia.examples.$name").getMethod("main", Array<String>::class.java)
            main.invoke(null, arguments)
        } finally {
            System.setOut(before)
        }
        return output.toString("UTF-8")
    }

    @Test
    fun `a chat model of the host`() {
        assertEquals("¡Encantado, Ana! ¿De dónde eres?\n", program("CustomChatModelKt", "Me", "llamo", "Ana"))
    }

    @Test
    fun `the history`() {
        val store = File(folder, "talk.redb").path
        val session = TertuliaEngine.open(EngineOptions(store = store)).use { engine ->
            engine.createSession(SessionConfig("en", "es", title = "En el café")).use { it.id }
        }
        assertEquals("$session  0 turns  En el café\n", program("HistoryKt", store, "list", "café"))
        assertEquals("", program("HistoryKt", store, "list", "tren"))
        assertEquals("", program("HistoryKt", store, "show", session))
        val archive = File(folder, "talk.zip")
        assertContains(program("HistoryKt", store, "export", session, archive.path), "0 turns")
        assertTrue(archive.length() > 0)
    }

    @Test
    fun `a transcription and a turn on the models`() = runBlocking<Unit> {
        assumeTrue(hasModels(), "the library or its folder has no models")
        val question = File(folder, "question.wav")
        val words = "Buenos días. ¿Cómo te llamas?"
        TertuliaEngine.open().use { engine ->
            val chunks = engine.synthesize(SynthesisRequest(words, listOf("es"), null, 1f, null)).toList()
            writeWav(question, chunks.first().rate, chunks.map { it.samples })
        }
        val said = program("TranscribeKt", question.path, "es")
        assertContains(said, "llamas")
        val reply = File(folder, "reply.wav")
        assertContains(program("TalkKt", question.path, reply.path), "llamas")
        assertTrue(reply.length() > 10_000)
        println("transcribed: $said")
    }

    private fun hasModels(): Boolean =
        try {
            val models = ModelStore().list().filter { it.isDefault }
            models.isNotEmpty() && models.all { it.state == ModelState.READY }
        } catch (error: TertuliaException) {
            if (error.code != ErrorCode.UNSUPPORTED) throw error
            false
        }.also { if (!it) println("skipped: examples on models, of which there are none") }
}
