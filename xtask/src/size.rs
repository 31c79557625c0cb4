//! `cargo xtask size`: writes the sizes of the shipped libraries to `xtask/size-budget.json`, or compares them.

use crate::dist;
use crate::wer::Failure;
use std::collections::BTreeMap;

const BUDGET: &str = "xtask/size-budget.json";

/// How much larger than its budget a library may be, in percent.
const GROWTH_PERCENT: u64 = 5;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Compare with the budget instead of writing it
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    variant: dist::Variant,
}

pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let name = arguments.variant.name();
    let bytes = std::fs::metadata(dist::build(&arguments.variant)?.shared)?.len();
    let mut budget: BTreeMap<String, u64> = serde_json::from_str(&std::fs::read_to_string(BUDGET)?)?;
    if !arguments.check {
        println!("{name}: {bytes} bytes");
        budget.insert(name, bytes);
        std::fs::write(BUDGET, serde_json::to_string_pretty(&budget)? + "\n")?;
        return Ok(true);
    }
    let allowed = *budget.get(&name).ok_or_else(|| format!("{BUDGET} has no {name}"))?;
    println!("{name}: {bytes} bytes; the budget is {allowed}");
    let fits = bytes * 100 <= allowed * (100 + GROWTH_PERCENT);
    if !fits {
        println!("more than {GROWTH_PERCENT} % over its budget; `cargo xtask size` records a growth that is meant");
    }
    Ok(fits)
}
