//! `seed`: a node's identity and secrets, for a machine that pgha does not start itself.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
) -> Result<(), Failure> {
    let node = workspace.node(node)?;
    let secrets = workspace.secrets().await?;
    let packed = seed::pack(&workspace.rendered, node, &secrets, blank)?;
    // Text, because user data must be; pgha-seed decodes it.
    files::write(out, STANDARD.encode(packed.as_slice()).as_bytes(), 0o600)?;
    print::note(&format!(
        "wrote the seed {} of `{}` to {}; it holds secrets",
        seed::digest(&workspace.rendered, node, &secrets).short(),
        node.name,
        out.display()
    ));
    Ok(())
}
