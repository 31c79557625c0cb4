//! `cargo xtask dist c`: writes a release of the C library into a folder, which can be moved: libraries, header, pkg-config
//! file, CMake package, licences.

use crate::wer::Failure;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Templates of the files that tell builds about the library; `@NAME@` stands for a value.
const TEMPLATES: [(&str, &str); 3] = [
    ("tertulia.pc", "lib/pkgconfig"),
    ("tertuliaConfig.cmake", "lib/cmake/tertulia"),
    ("tertuliaConfigVersion.cmake", "lib/cmake/tertulia"),
];

/// The oldest glibc that a release for another machine runs with, Rust's own limit; cargo-zigbuild takes it with the target.
const GLIBC: &str = "2.17";

/// All crates of the workspace have one version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Pages of memory that Android 15 may have. It does not load a library whose segments are aligned to smaller ones.
const PAGE_BYTES: u64 = 16 * 1024;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    package: Package,
}

#[derive(clap::Subcommand)]
enum Package {
    /// The C library, shared and static
    C(Release),
}

#[derive(clap::Args)]
struct Release {
    #[command(flatten)]
    variant: Variant,
    /// The folder to write
    #[arg(long)]
    out: PathBuf,
}

/// A variant of the library.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Variant {
    /// With the models of the crate tertulia-models
    #[arg(long)]
    pub(crate) models: bool,
    /// Build for this target of Rust; cargo-zigbuild links for a Linux that is not the host's
    #[arg(long)]
    pub(crate) target: Option<String>,
}

/// The libraries that a build made.
pub(crate) struct Built {
    pub(crate) shared: PathBuf,
    archive: PathBuf,
    /// The system's libraries that the static one needs, as flags of a linker.
    needed: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let Package::C(Release { variant, out }) = &arguments.package;
    let built = build(variant)?;
    let android = variant.target.as_ref().is_some_and(|target| target.contains("android"));
    let names = if android { Names::unversioned() } else { Names::versioned()? };
    if android {
        check_pages(&built.shared)?;
    }
    for folder in ["lib", "include", "share/licenses/tertulia"].into_iter().chain(TEMPLATES.map(|(_, folder)| folder)) {
        std::fs::create_dir_all(out.join(folder))?;
    }
    let copy = |from: &Path, to: &str| std::fs::copy(from, out.join(to)).map(drop);
    copy(&built.shared, &format!("lib/{}", names.file))?;
    for link in [&names.soname, "libtertulia.so"] {
        if link != names.file {
            link_to(&names.file, &out.join("lib").join(link))?;
        }
    }
    copy(&built.archive, "lib/libtertulia.a")?;
    copy(Path::new("include/tertulia.h"), "include/tertulia.h")?;
    let licences = out.join("share/licenses/tertulia");
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        std::fs::copy(licence, licences.join(licence))?;
    }
    std::fs::write(licences.join("THIRD-PARTY"), notices(variant)?)?;
    for (template, folder) in TEMPLATES {
        let text = names.fill(&std::fs::read_to_string(Path::new("bindings/c/package").join(template))?, &built.needed);
        std::fs::write(out.join(folder).join(template), text)?;
    }
    println!("{}: version {VERSION}, {}", out.display(), variant.name());
    Ok(true)
}

/// Builds the library in the profile `dist`.
pub(crate) fn build(variant: &Variant) -> Result<Built, Failure> {
    let zig = variant.target.as_ref().is_some_and(|target| target.contains("-unknown-linux-"));
    let mut command = Command::new(if zig { "cargo-zigbuild" } else { "cargo" });
    command.args(["rustc", "--profile", "dist", "-p", "tertulia-ffi", "--message-format=json"]);
    command.args(variant.arguments().iter().map(|argument| match argument {
        target if zig && target.ends_with("-gnu") => format!("{target}.{GLIBC}"),
        argument => argument.to_string(),
    }));
    command.args(["--", "--print=native-static-libs"]);
    if !zig {
        // Generic code is there once for each type; LLD keeps one of those that are equal. Zig's does not take the flag.
        command.arg("-Clink-arg=-Wl,--icf=all");
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    let messages = std::str::from_utf8(&output.stdout)?.lines().map(serde_json::from_str);
    let messages = messages.collect::<Result<Vec<Value>, _>>()?;
    if !output.status.success() {
        messages.iter().filter_map(|message| message["message"]["rendered"].as_str()).for_each(|text| print!("{text}"));
        return Err(format!("{command:?} failed").into());
    }
    let made = |extension: &str| {
        let library =
            messages.iter().rfind(|message| message["target"]["name"] == "tertulia" && message["filenames"].is_array());
        let files = library.and_then(|library| library["filenames"].as_array()).into_iter().flatten();
        let mut files = files.filter_map(|file| file.as_str().map(PathBuf::from));
        let file = files.find(|file| file.extension().is_some_and(|found| found == extension));
        file.ok_or_else(|| format!("the build made no .{extension}: releases are for Linux and Android"))
    };
    let notes = messages.iter().filter_map(|message| message["message"]["message"].as_str());
    let needed = notes.filter_map(|note| note.strip_prefix("native-static-libs: ")).next_back();
    let needed = needed.ok_or("rustc named no native libraries")?.split(' ');
    // A C compiler adds its own, of the kind that fits.
    let needed: Vec<&str> = needed.filter(|library| !["-lc", "-lgcc_s"].contains(library)).collect();
    Ok(Built { shared: made("so")?, archive: made("a")?, needed: needed.join(" ") })
}

impl Variant {
    /// Its name in the budget of sizes.
    pub(crate) fn name(&self) -> String {
        let models = if self.models { "with models" } else { "without models" };
        self.target.iter().map(String::as_str).chain([models]).collect::<Vec<_>>().join(" ")
    }

    fn arguments(&self) -> Vec<&str> {
        let target = self.target.iter().flat_map(|target| ["--target", target]);
        target.chain(self.models.then_some("--features=models")).collect()
    }
}

/// The names of the shared library, and what stands for `@NAME@` in the templates.
struct Names {
    file: String,
    soname: String,
}

impl Names {
    /// On Android, which packages no other names.
    fn unversioned() -> Self {
        Self { file: "libtertulia.so".into(), soname: "libtertulia.so".into() }
    }

    /// By the version of the ABI, as the header has it.
    fn versioned() -> Result<Self, Failure> {
        let header = std::fs::read_to_string("include/tertulia.h")?;
        let abi = header.lines().find_map(|line| line.strip_prefix("#define TERTULIA_ABI_VERSION "));
        let soname = format!("libtertulia.so.{}", abi.ok_or("the header has no version of its ABI")?);
        Ok(Self { file: format!("libtertulia.so.{VERSION}"), soname })
    }

    fn fill(&self, template: &str, needed: &str) -> String {
        let minor = VERSION.rsplit_once('.').expect("it has three parts").0;
        [
            ("@VERSION@", VERSION),
            ("@MINOR@", minor),
            ("@SHARED@", &self.file),
            ("@SONAME@", &self.soname),
            ("@LIBRARIES@", needed),
        ]
        .into_iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

fn link_to(name: &str, link: &Path) -> Result<(), Failure> {
    if link.is_symlink() {
        std::fs::remove_file(link)?;
    }
    Ok(std::os::unix::fs::symlink(name, link)?)
}

/// Refuses a library that cannot be loaded where pages have 16 KiB.
fn check_pages(library: &Path) -> Result<(), Failure> {
    let output = Command::new("readelf").args(["--program-headers", "--wide"]).arg(library).output()?;
    let headers = String::from_utf8(output.stdout)?;
    let segments = headers.lines().filter(|line| line.trim_start().starts_with("LOAD"));
    let alignments = segments.filter_map(|segment| u64::from_str_radix(segment.rsplit_once("0x")?.1.trim(), 16).ok());
    match alignments.min() {
        Some(bytes) if bytes >= PAGE_BYTES => Ok(()),
        Some(bytes) => {
            Err(format!("{}: segments are aligned to {bytes} bytes, not to {PAGE_BYTES}", library.display()).into())
        }
        None => Err(format!("{}: readelf finds no segments", library.display()).into()),
    }
}

/// The licences of the crates in the library: a list, then each text once, under the crates that it is of.
fn notices(variant: &Variant) -> Result<String, Failure> {
    let tree = ["tree", "-p", "tertulia-ffi", "-e", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}|{l}"];
    let tree = cargo(&[&tree[..], &variant.arguments()].concat())?;
    let used: BTreeSet<&str> =
        tree.lines().filter(|line| line.contains('|')).map(|line| line.trim_end_matches(" (*)")).collect();
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version", "1"])?)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let folder_of = |name: &str| {
        let package = packages.iter().find(|package| {
            let version = package["version"].as_str().unwrap_or_default();
            name.strip_prefix(package["name"].as_str().unwrap_or_default()) == Some(&format!(" v{version}"))
        });
        package.and_then(|package| Path::new(package["manifest_path"].as_str()?).parent())
    };
    let mut list = String::from("The library holds these crates:\n\n");
    let mut texts = BTreeMap::<String, Vec<&str>>::new();
    for (name, licence) in used.iter().filter_map(|line| line.split_once('|')).filter(|(name, _)| !name.contains('/')) {
        writeln!(list, "{name}: {licence}")?;
        for text in licence_texts(folder_of(name).ok_or_else(|| format!("cargo metadata lacks {name}"))?)? {
            texts.entry(text).or_default().push(name);
        }
    }
    for (text, names) in texts {
        write!(list, "\n{}\n{}\n\n{}\n", "-".repeat(80), names.join(", "), text.trim_end())?;
    }
    Ok(list)
}

fn licence_texts(folder: &Path) -> Result<Vec<String>, Failure> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let is_licence = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"]
            .iter()
            .any(|word| name.starts_with(word));
        if is_licence && entry.file_type()?.is_file() {
            texts.push(String::from_utf8_lossy(&std::fs::read(entry.path())?).into_owned());
        }
    }
    Ok(texts)
}

fn cargo(arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("cargo").args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("cargo {} failed", arguments.join(" ")).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::check_pages;
    use std::process::Command;

    #[test]
    fn a_library_with_pages_of_4_kib_is_refused() {
        let folder = std::env::temp_dir().join(format!("tertulia-pages-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let source = folder.join("answer.c");
        std::fs::write(&source, "int answer(void) { return 42; }").unwrap();
        let checked = |page: u64| {
            let library = folder.join(format!("{page}.so"));
            let flags = ["-shared", "-fPIC", &format!("-Wl,-z,max-page-size={page}"), "-o"];
            assert!(Command::new("cc").args(flags).args([&library, &source]).status().unwrap().success());
            check_pages(&library).map_err(|error| error.to_string())
        };
        let refused = checked(4096).unwrap_err();
        assert!(refused.contains("aligned to 4096 bytes, not to 16384"), "{refused}");
        checked(16384).unwrap();
        assert!(check_pages(&source).unwrap_err().to_string().contains("no segments"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
