//! `cargo xtask ci`: runs everything that CI checks, and says how long each step took.
//!
//! One build in the profile `ci` makes every test, bench and tool of the workspace with one set of features, and the
//! steps run what it made; the releases of the C library are built apart, in the profile `dist`, and what runs on other machines
//! or under ThreadSanitizer. Lanes of one stage run side by side; steps that measure time have a stage to themselves.

use crate::wer::Failure;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// How much the store's tests and the simulation try.
const EFFORT: [(&str, &str); 4] =
    [("SIM_STEPS", "100000"), ("TERTULIA_CRASHES", "10000"), ("TERTULIA_KILLS", "200"), ("TERTULIA_FLIPS", "2000")];

const BUILD: &[&str] = &["build", "--profile", "ci", "--workspace", "--all-targets", "--keep-going", LIBRARY];
/// The library with all of its parts, for the packages of each language and their tests; C's is tested as it is released.
const LIBRARY: &str = "--features=tertulia-ffi/models,tertulia-ffi/testing,tertulia-ffi/uniffi";
const WASM: &[&str] = &["check", "--profile", "ci", "--target", "wasm32-unknown-unknown"];

/// The crate of models without backends and downloads.
const MODELS: &[&str] = &["-p", "tertulia-models", "--no-default-features"];

/// Checks of the sources.
const SOURCES: &[(&str, &[&[&str]])] = &[
    ("formatting", &[&["fmt", "--all", "--check"]]),
    ("lints", &[&["clippy", "--profile", "ci", "--workspace", "--all-targets", LIBRARY, "--", "-D", "warnings"]]),
    ("lints of the C library alone", &[&["clippy", "--profile", "ci", "-p", "tertulia-ffi", "--", "-D", "warnings"]]),
    ("core for browsers", &[WASM, &["-p", "tertulia", "--all-features", "--lib", "--test", "browser"]]),
    ("model files for browsers", &[WASM, MODELS]),
    ("documentation tests", &[&["test", "--profile", "ci", "--workspace", "--doc"]]),
    ("licences and sources", &[&["deny", "check", "licenses", "bans", "sources"]]),
];

/// Checks that need the shared recordings beside the checkout, in lanes: tasks of this program.
const SPEECH: &[&[(&str, &[&str])]] = &[
    &[
        ("word error rate", &["wer", "../shared/speech", "--detect", "--joined", "95"]),
        ("speech synthesis", &["speech", "../shared/speech/sentences"]),
    ],
    &[
        ("echo", &["echo", "../shared/speech", "--replies", "10"]),
        ("heard text", &["heard", "../shared/speech/sentences", "--replies", "10"]),
        ("words in noise", &["noise", "--minutes", "1"]),
        ("endpointing", &["endpoint", "../shared/speech", "--quick"]),
    ],
];

/// An executable that the build made.
struct Built {
    package: String,
    name: String,
    kind: String,
    is_test: bool,
    path: PathBuf,
    /// The package's folder, in which its tests run.
    folder: PathBuf,
}

/// One check: it passes if all of its commands succeed.
struct Step {
    name: String,
    commands: Vec<Command>,
}

/// Steps that run one after the other.
type Lane = Vec<Step>;

/// A step that has run.
struct Outcome {
    name: String,
    seconds: u64,
    passed: bool,
}

/// Runs every step, prints the times, and says whether all passed.
pub(crate) fn run() -> Result<bool, Failure> {
    let start = Instant::now();
    let (built, passed) = build()?;
    // `./x test` has built everything before, this program included.
    let before_s: u64 = std::env::var("CI_BUILD_S").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let seconds = before_s + start.elapsed().as_secs();
    let outcomes = Mutex::new(vec![Outcome { name: "build".into(), seconds, passed }]);
    for stage in stages(&built) {
        thread::scope(|scope| {
            for lane in stage {
                scope.spawn(|| lane.into_iter().for_each(|step| run_step(step, &outcomes)));
            }
        });
    }
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!();
    for outcome in &outcomes {
        println!("{:5} s  {}", outcome.seconds, outcome.name);
    }
    println!("{:5} s  in all", before_s + start.elapsed().as_secs());
    let failed: Vec<&str> = outcomes.iter().filter(|step| !step.passed).map(|step| step.name.as_str()).collect();
    failed.iter().for_each(|name| println!("failed: {name}"));
    println!("{} passed, {} failed", outcomes.len() - failed.len(), failed.len());
    Ok(failed.is_empty())
}

/// Builds all targets; gives the executables, and whether every target compiled.
fn build() -> Result<(Vec<Built>, bool), Failure> {
    let mut command = cargo(&[BUILD, &["--message-format=json-render-diagnostics"]]);
    println!("== build: {command:?}");
    let output = command.stderr(Stdio::inherit()).output()?;
    let lines = std::str::from_utf8(&output.stdout)?.lines();
    Ok((
        lines.filter_map(|line| Built::from_message(&serde_json::from_str(line).ok()?)).collect(),
        output.status.success(),
    ))
}

impl Built {
    /// Reads a message of cargo; `None` if it is not about an executable.
    fn from_message(message: &Value) -> Option<Self> {
        let path = message["executable"].as_str()?.into();
        let folder: PathBuf = Path::new(message["manifest_path"].as_str()?).parent()?.into();
        Some(Self {
            package: folder.file_name()?.to_str()?.to_owned(),
            name: message["target"]["name"].as_str()?.to_owned(),
            kind: message["target"]["kind"][0].as_str()?.to_owned(),
            is_test: message["profile"]["test"].as_bool()?,
            path,
            folder,
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).current_dir(&self.folder).envs(EFFORT);
        command
    }

    /// The program itself, started where CI was.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments);
        command
    }
}

/// The folder that the build filled, this program's.
fn build_folder() -> PathBuf {
    xtask().parent().map(Path::to_owned).unwrap_or_default()
}

/// This program.
fn xtask() -> PathBuf {
    std::env::current_exe().unwrap_or_default()
}

/// A script with its arguments.
fn script(path: &str, arguments: &[PathBuf]) -> Command {
    let mut command = Command::new(path);
    command.args(arguments);
    command
}

/// Builds the release of the C library, tests it, and compares its size.
fn c_release(program: impl Fn(&str, &[&str]) -> Vec<Command>) -> Vec<Command> {
    let folder = build_folder().join("c-release");
    let mut commands = program("xtask", &["dist", "c", "--out", &folder.to_string_lossy()]);
    commands.push(script("bindings/c/test.sh", &[folder.join("lib"), build_folder()]));
    commands.push(script("bindings/c/package/test.sh", &[folder]));
    commands.extend(program("xtask", &["size", "--check"]));
    commands
}

fn stages(built: &[Built]) -> Vec<Vec<Lane>> {
    let program = |name: &str, arguments: &[&str]| {
        let program = built.iter().find(|built| built.name == name && built.kind == "bin" && !built.is_test);
        program.map(|program| program.program(arguments)).into_iter().collect()
    };
    let step = |name: &str, commands: Vec<Command>| Step { name: name.to_owned(), commands };
    let tests = |packages: &'static [&str]| {
        built
            .iter()
            .filter(|built| built.is_test && built.kind != "bench" && packages.contains(&built.package.as_str()))
    };
    let test_step =
        |built: &Built| step(&format!("tests of {}: {}", built.package, built.name), vec![built.command(&[])]);
    let mut sources: Lane = SOURCES.iter().map(|(name, parts)| step(name, vec![cargo(parts)])).collect();
    sources.push(step(
        "the C header and the table of errors are those of the sources",
        program("xtask", &["codegen", "--check"]),
    ));
    sources.push(step("the public API is the one that is listed", program("xtask", &["api", "--check"])));
    sources.push(step("the JSON Schemas are those of the types", program("xtask", &["schema", "--check"])));
    sources.push(step("the C library", c_release(program)));
    // After the release, whose profile it shares.
    sources.push(step("the C library for other machines", vec![script("bindings/c/cross/test.sh", &[xtask()])]));
    sources.push(step("the models' kernels on aarch64", vec![script("bindings/c/cross/kernels.sh", &[])]));
    sources.push(step("the C library's threads", vec![script("bindings/c/tsan.sh", &["20".into(), "300".into()])]));
    let pull = [&["models", "pull"][..], &["models", "pull", "smollm2-135m-instruct-q4_1"]];
    let models = vec![step("model files", pull.iter().flat_map(|pull| program("tertulia", pull)).collect::<Vec<_>>())];
    let alone = tests(&["models", "cli", "xtask"]).map(test_step);
    let benches = built.iter().filter(|built| built.kind == "bench").map(|bench| bench.command(&["--bench", "--test"]));
    let alone = alone.chain([step("benches run", benches.collect())]).collect();
    let mut stages = vec![vec![models, sources, tests(&["core", "ffi", "rust"]).map(test_step).collect()], vec![alone]];
    let binding = |language: &str| {
        step(
            &format!("the package of {language}"),
            vec![script(&format!("bindings/{language}/test.sh"), &[build_folder()])],
        )
    };
    stages.push(vec![
        vec![binding("kotlin"), binding("python")],
        vec![binding("swift"), binding("react-native"), binding("flutter")],
    ]);
    if Path::new("../shared/speech/manifest.json").exists() {
        let lane = |lane: &&[(&str, &[&str])]| {
            lane.iter().map(|(name, arguments)| step(name, program("xtask", arguments))).collect()
        };
        stages.push(SPEECH.iter().map(lane).collect());
    } else {
        println!("no shared recordings beside the checkout: their checks are left out");
    }
    stages
}

fn cargo(parts: &[&[&str]]) -> Command {
    let mut command = Command::new("cargo");
    command.args(parts.concat());
    command
}

/// Runs a step, and prints its output when it is over: others run beside it.
fn run_step(mut step: Step, outcomes: &Mutex<Vec<Outcome>>) {
    let start = Instant::now();
    let log = std::env::temp_dir().join(format!("tertulia-ci-{}-{:?}.log", std::process::id(), thread::current().id()));
    let run = |command: &mut Command, log: &File| -> Result<bool, Failure> {
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        Ok(command.status()?.success())
    };
    let passed = !step.commands.is_empty()
        && File::create(&log).is_ok_and(|log| step.commands.iter_mut().all(|c| run(c, &log).unwrap_or(false)));
    let outcome = Outcome { name: step.name, seconds: start.elapsed().as_secs(), passed };
    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
    let verdict = if passed { "passed" } else { "FAILED" };
    println!("\n== {}: {verdict} after {} s", outcome.name, outcome.seconds);
    step.commands.iter().for_each(|command| println!("{command:?}"));
    print!("{}", String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()));
    let _ = std::fs::remove_file(&log);
    outcomes.push(outcome);
}
