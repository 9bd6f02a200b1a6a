//! Progress: every event of the other crates is one line on stderr, with the seconds since the
//! start.

use std::fmt::Write;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::print;

/// Starts printing. `verbose` 0 shows progress, 1 what pgha looks at, 2 also its libraries.
pub(crate) fn start(verbose: u8) {
    let filter = match verbose {
        0 => "warn,pgha_deploy=info,pgha_platform=info,pgha_verify=info,pgha=info,russh=off",
        1 => "warn,pgha_deploy=debug,pgha_platform=debug,pgha_verify=debug,pgha=debug",
        _ => "debug",
    };
    let lines = Lines { started: Instant::now() };
    tracing_subscriber::registry().with(EnvFilter::new(filter)).with(lines).init();
}

struct Lines {
    started: Instant,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let seconds = print::dim(&format!("{:6.1} s", self.started.elapsed().as_secs_f64()));
        match *event.metadata().level() {
            Level::ERROR | Level::WARN => print::marked(&print::yellow("warning:"), &text.0),
            _ => print::marked(&seconds, &format!(" {}", text.0)),
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
