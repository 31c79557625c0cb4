package dev.tertulia

import dev.tertulia.generated.JobItem
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.map

/**
 * The model files in a folder; null for the platform's place for them. In a library without models every call fails with
 * [ErrorCode.UNSUPPORTED].
 */
class ModelStore(folder: String? = null) {
    private val raw = dev.tertulia.generated.ModelStore(folder)

    /** The models that the library knows. */
    fun list(): List<ModelInfo> = edge { raw.list() }

    /** The files that a pull of these models (none for the default ones) would fetch. */
    fun plan(vararg names: String): PullPlan = edge { raw.plan(names.asList()) }

    /** Fetches these models (none for the default ones). A pull that was cancelled goes on with the next one. */
    fun pull(vararg names: String): Flow<PullProgress> =
        items { raw.pull(names.asList()) }.map { (it as JobItem.Pull).progress }

    /** Copies a GGUF file to its place as the model [name], and checks it. Takes as long as reading it. */
    fun install(name: String, path: String) = edge { raw.install(name, path) }

    /** Removes a model's files. */
    fun remove(name: String) = edge { raw.remove(name) }

    /** Reads a model's file, and compares its hash. Takes as long as reading it. */
    fun verify(name: String) = edge { raw.verify(name) }
}
