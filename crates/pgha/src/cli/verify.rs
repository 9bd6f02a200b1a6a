//! What `verify` takes.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use pgha_verify::Scenario;

use super::JsonArgs;

#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// What to break. Repeat for several. Default: all that pause no node.
    #[arg(long = "scenario", value_name = "SCENARIO", value_parser = scenario())]
    pub(crate) scenarios: Vec<Scenario>,
    /// How often to run each.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Directory for history.jsonl and verdict.json.
    #[arg(long, default_value = "verify", value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// Its names and what they mean belong to the referee.
fn scenario() -> impl TypedValueParser<Value = Scenario> {
    let value = |scenario: Scenario| PossibleValue::new(scenario.name()).help(scenario.describe());
    PossibleValuesParser::new(Scenario::EVERY.map(value)).try_map(|name| name.parse::<Scenario>())
}
