//! `seed`: a node's identity and secrets, for a machine that pgha does not start itself.
//!
//! It only reads the secrets, like every command except `apply` and `up`. If these start nothing,
//! the secrets would never be made: `--make-secrets` makes them, as its name says.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgha_deploy::secrets::Secrets;
use pgha_deploy::seed::{self, BlankDisk};
use pgha_platform::files;

use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

pub(super) async fn run(
    workspace: &Workspace,
    node: &str,
    out: &Path,
    blank: BlankDisk,
    make: bool,
) -> Result<(), Failure> {
    let node = workspace.node(node)?;
    let secrets = workspace.secrets().await?;
    match (make, workspace.servers().await?.is_empty()) {
        (true, true) => secrets.write()?,
        (true, false) => {
            return Err(Failure::no("the nodes are started by pgha")
                .hint("`pgha apply` makes their secrets; leave --make-secrets out"));
        }
        (false, _) => complete(workspace, &secrets)?,
    }
    let packed = seed::pack(&workspace.rendered, node, &secrets, blank)?;
    // Encoded as text, because user data must be text; pgha-seed decodes it.
    files::write(out, STANDARD.encode(packed.as_slice()).as_bytes(), 0o600)?;
    print::note(&format!(
        "wrote the seed {} of `{}` to {}; it holds secrets",
        seed::digest(&workspace.rendered, node, &secrets).short(),
        node.name,
        out.display()
    ));
    Ok(())
}

/// A seed with a key that is not stored would start a node that no operator can reach.
fn complete(workspace: &Workspace, secrets: &Secrets) -> Result<(), Failure> {
    let missing = secrets.unwritten();
    // `.gitignore` is not secret, and some operators keep their secrets in Git, encrypted.
    let Some(first) = missing.iter().find(|name| !name.starts_with('.')) else { return Ok(()) };
    let dir = workspace.secrets_dir();
    let why = match dir.exists() {
        true => format!("{} is to be made or signed anew", secrets.path(first).display()),
        false => format!("the secrets {} were never made", dir.display()),
    };
    Err(Failure::no(why).hint(
        "`pgha apply` does it; for machines alone, which it does not start, add --make-secrets",
    ))
}
