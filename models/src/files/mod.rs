//! Model files: manifest, download, conversion.
