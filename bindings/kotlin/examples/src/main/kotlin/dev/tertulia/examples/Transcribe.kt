/** A transcription of a file, with the built-in recognizer. */
package dev.tertulia.examples

import dev.tertulia.TertuliaEngine
import kotlinx.coroutines.runBlocking
import java.io.File

/** `TranscribeKt FILE [LANGUAGE]…` */
fun main(arguments: Array<String>) = runBlocking {
    TertuliaEngine.open().use { engine ->
        val transcript = engine.transcribeEncoded(File(arguments[0]).readBytes(), arguments.drop(1))
        println("${transcript.language}: ${transcript.text}")
    }
}
