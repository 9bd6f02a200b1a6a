//! What this machine needs to build the NixOS base.

use std::path::Path;

use pgha_platform::{Check, Command, Problem, files};

use super::nixos::{FEATURES, NixOptions};

/// The first version that evaluates our own flakes.
const OLDEST: (u32, u32) = (2, 8);

/// The first version that the pinned nixpkgs takes (its lib/minfeatures.nix).
const OLDEST_FOR_PIN: (u32, u32) = (2, 18);

/// Room for a system (1.5 GB), and again for its store and its disk as files. An estimate: none has
/// been built yet.
const NEEDED_BYTES: u64 = 4 << 30;

/// Looks at nix: whether it is there, new enough, knows flakes, can use its store, and has room.
pub async fn checks(options: &NixOptions) -> Vec<Check> {
    let installed = Check::installed("nix", "nix-bin");
    if installed.problem.is_some() {
        return vec![installed];
    }
    let system = knows_system(std::env::consts::ARCH);
    let oldest = if options.nixpkgs.is_some() { OLDEST } else { OLDEST_FOR_PIN };
    vec![installed, system, new_enough(oldest).await, knows_flakes().await, has_room()]
}

/// The flake has images for these systems only.
fn knows_system(architecture: &str) -> Check {
    let known = ["x86_64", "aarch64"].contains(&architecture);
    let problem = (!known).then(|| Problem {
        what: format!("there are no NixOS images for {architecture}"),
        cure: "build on x86_64 or aarch64".to_owned(),
        packages: Vec::new(),
    });
    Check { name: format!("system {architecture}-linux"), problem }
}

async fn new_enough(oldest: (u32, u32)) -> Check {
    let text = Command::new("nix").arg("--version").run().await.unwrap_or_default();
    let problem = version(&text).filter(|found| *found < oldest).map(|found| Problem {
        what: format!("nix {}.{} is too old", found.0, found.1),
        cure: format!(
            "install nix {}.{} or newer; Debian has that from version 13 on",
            oldest.0, oldest.1
        ),
        packages: Vec::new(),
    });
    Check { name: text.trim().to_owned(), problem }
}

/// `nix (Nix) 2.8.0` gives 2 and 8.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().last()?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Evaluates an expression that needs flakes. This also opens the store.
async fn knows_flakes() -> Check {
    let tried = Command::new("nix")
        .args(FEATURES)
        .args(["eval", "--expr", "builtins ? getFlake"])
        .run()
        .await;
    let what = match tried {
        Ok(answer) if answer.trim() == "true" => None,
        Ok(_) => Some("this nix does not know flakes".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let problem = what.map(|what| Problem {
        what,
        cure: "make `nix eval --expr 1` work: see that its daemon runs, and that you may use the store".to_owned(),
        packages: Vec::new(),
    });
    Check { name: "nix evaluates flakes".to_owned(), problem }
}

fn has_room() -> Check {
    let store = if Path::new("/nix").exists() { Path::new("/nix") } else { Path::new("/") };
    let free = files::free_bytes(store).unwrap_or(u64::MAX);
    let problem = (free < NEEDED_BYTES).then(|| Problem {
        what: format!(
            "{} has {} MB free, a NixOS build needs {} MB",
            store.display(),
            free >> 20,
            NEEDED_BYTES >> 20
        ),
        cure: "make room, for example with `nix store gc`".to_owned(),
        packages: Vec::new(),
    });
    Check { name: "room for the nix store".to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_system_is_named() {
        assert_eq!(knows_system("x86_64").problem, None);
        let problem = knows_system("riscv64").problem.expect("a problem");
        assert_eq!(problem.what, "there are no NixOS images for riscv64");
    }

    #[test]
    fn reads_the_version_of_every_nix() {
        assert_eq!(version("nix (Nix) 2.8.0\n"), Some((2, 8)));
        assert_eq!(version("nix (Nix) 2.34.8"), Some((2, 34)));
        assert_eq!(version("nix (Determinate Nix 3.1) 2.30.1"), Some((2, 30)));
        assert_eq!(version(""), None);
    }
}
