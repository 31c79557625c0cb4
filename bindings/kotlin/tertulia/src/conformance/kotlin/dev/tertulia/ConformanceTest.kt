package dev.tertulia

import dev.tertulia.generated.ActionResult
import dev.tertulia.generated.ConformanceRun
import dev.tertulia.generated.HostAction
import dev.tertulia.generated.JobItem
import kotlinx.coroutines.runBlocking
import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.time.Duration

private val none = ModelChoices("none", "none", "none", "none", "none")

/** The conversations of bindings/conformance, and the reads of its golden store, through the calls of this package. */
class ConformanceTest {
    private val folder = File(System.getProperty("tertulia.root"), "bindings/conformance")

    @Test
    fun `every scenario gives the same events`() {
        val ran = File(System.getProperty("tertulia.ran")).apply { delete() }
        val scenarios = File(folder, "scenarios").listFiles { file -> file.extension == "json" }!!.sorted()
        val different = scenarios.mapNotNull { file ->
            val difference = live(ConformanceRun.scenario(file.readText()))
            ran.appendText(file.nameWithoutExtension + "\n")
            difference?.let { "${file.nameWithoutExtension}: $it" }
        }
        assertTrue(scenarios.isNotEmpty())
        assertEquals(emptyList(), different)
    }

    @Test
    fun `the golden store reads the same`() {
        val copy = File.createTempFile("golden", ".redb")
        try {
            File(folder, "golden.redb").copyTo(copy, overwrite = true)
            assertEquals(null, live(ConformanceRun.golden(File(folder, "golden.json").readText(), copy.path)))
        } finally {
            copy.delete()
        }
    }

    private fun live(run: ConformanceRun): String? = run.use {
        val host = Host()
        var result: ActionResult = ActionResult.Nothing
        while (true) {
            val action = run.next(result) ?: break
            result = try {
                host.act(action)
            } catch (error: TertuliaException) {
                ActionResult.Failed(error.number.toUShort())
            }
        }
        run.finish()
    }

    private class Host {
        private lateinit var engine: TertuliaEngine
        private lateinit var session: TertuliaSession

        fun act(action: HostAction): ActionResult {
            when (action) {
                is HostAction.TakeEngine -> engine = TertuliaEngine.of(action.engine)
                is HostAction.OpenEngine -> engine = TertuliaEngine.open(EngineOptions(store = action.store, models = none))
                is HostAction.TakeSession -> session = engine.sessionHandle(action.session)
                is HostAction.Apply -> return ActionResult.Json(engine.apply(action.command))
                is HostAction.ReadEvent ->
                    return session.nextEvent(Duration.ZERO)?.let { ActionResult.Json(it.json()) } ?: ActionResult.Nothing
                is HostAction.PushAudio ->
                    session.pushInterleaved(floatSamples(action.pcm), action.channels.toInt(), action.rate.toInt())
                is HostAction.PushEncoded -> session.pushEncoded(action.bytes)
                is HostAction.ReadAudio ->
                    return ActionResult.Audio(engine.audio(action.session, action.turn, action.kind))
                is HostAction.ExportSession -> return ActionResult.Item(
                    JobItem.Exported(runBlocking { engine.exportSession(action.session, action.path) }),
                )
                is HostAction.ImportSession -> return ActionResult.Item(
                    JobItem.Imported(runBlocking { engine.importSession(action.path, action.newId) }),
                )
            }
            return ActionResult.Nothing
        }
    }
}
