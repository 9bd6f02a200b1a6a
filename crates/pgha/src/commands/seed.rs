//! `seed`: a node's identity and secrets, for a machine that pgha does not start itself.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgha_deploy::seed;
use pgha_platform::files;

use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

pub(super) async fn run(
    workspace: &Workspace,
    node: &str,
    out: &Path,
    new_volume: bool,
) -> Result<(), Failure> {
    let node = workspace.node(node)?;
    let secrets = workspace.secrets().await?;
    let packed = seed::pack(&workspace.rendered, node, &secrets, new_volume)?;
    // Text, because user data must be; pgha-seed decodes it.
    files::write(out, STANDARD.encode(packed.archive.as_slice()).as_bytes(), 0o600)?;
    print::note(&format!(
        "wrote the seed {} of `{}` to {}; it holds secrets",
        packed.digest.short(),
        node.name,
        out.display()
    ));
    Ok(())
}
