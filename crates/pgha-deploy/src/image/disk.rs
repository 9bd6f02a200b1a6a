//! Raw disks of the Debian base: the layers of an image as they are, a kernel, and a boot loader
//! for BIOS and UEFI.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use pgha_core::cluster::RoleSet;
use pgha_core::digest::Hasher;
use pgha_core::manifest::{Content, Disk, Layer, Layers};
use pgha_platform::files::{self, FileError};
use pgha_platform::{Check, Command};
use serde::{Deserialize, Serialize};

use super::recipe::{self, recipe_files};
use super::{ImageError, budget, cache};

const MACHINE: &[(&str, &str)] = recipe_files!["debian/": "machine.sh", "machine.txt", "machine-init", "machine/etc/systemd/network/50-pgha.network"];
const ASSEMBLER: &[(&str, &str)] = recipe_files!["disk/": "assemble.sh"];

/// Kernel messages and refusals go to the screen and to the serial line; a panic becomes a reboot.
const COMMAND_LINE: &str = "pgha.image=@ID@ console=tty0 console=ttyS0,115200 panic=10";

/// What a machine needs besides the layers of its image.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Machine {
    kernel: Layer,
    initrd: Layer,
    modules: Layer,
}

impl Machine {
    fn layers(&self) -> Vec<Layer> {
        vec![self.kernel.clone(), self.initrd.clone(), self.modules.clone()]
    }
}

/// What this machine needs for assembling disks. `GRUB_DIR` is the assembler's own variable.
pub(super) fn checks() -> Vec<Check> {
    let programs = [
        ("grub-mkimage", "grub-common"),
        ("mkfs.vfat", "dosfstools"),
        ("mcopy", "mtools"),
        ("sfdisk", "fdisk"),
        ("cpio", "cpio"),
        ("depmod", "kmod"),
        ("xz", "xz-utils"),
        ("zstd", "zstd"),
    ];
    let grub = std::env::var_os("GRUB_DIR").map_or("/usr/lib/grub".into(), PathBuf::from);
    let files =
        [("i386-pc/boot.img", "grub-pc-bin"), ("x86_64-efi/moddep.lst", "grub-efi-amd64-bin")];
    let programs = programs.iter().map(|(program, package)| Check::installed(program, package));
    let files = files.iter().map(|(file, package)| Check::present(&grub.join(file), package));
    programs.chain(files).collect()
}

/// The disk of one image, assembled if it is missing or damaged.
pub(super) async fn ensure(
    cache_dir: &Path,
    role_set: &RoleSet,
    layers: &Layers,
) -> Result<Disk, ImageError> {
    let machine = machine(cache_dir).await?;
    let dir = cache_dir.join("disks");
    files::make_dir(&dir, 0o755)?;
    let mut key = Hasher::default();
    key.part(layers.digest().as_str().as_bytes())
        .part(recipe::digest(ASSEMBLER).as_str().as_bytes())
        .part(COMMAND_LINE.as_bytes());
    for layer in machine.layers() {
        key.part(layer.sha256.as_str().as_bytes());
    }
    let path = dir.join(format!("{}-{}.raw", role_set, &key.finish().as_str()[..16]));
    let note = path.with_extension("json");
    if let Some(found) = cache::find(&note, |disk: &Disk| vec![disk.file.clone()]) {
        return Ok(found);
    }
    tracing::info!("disk of {role_set}: assembling");
    let work = tempfile::tempdir_in(&dir).map_err(FileError::at("create", &dir))?;
    let finished = work.path().join("disk.raw");
    assemble(work.path(), &finished, &machine, layers).await?;
    let (sha256, bytes) = files::digest(&finished)?;
    let disk =
        budget::measure(&finished, super::layer(&path, sha256, bytes), contents(&machine, layers))?;
    cache::store(&[(&finished, &disk.file)], &note, &disk)?;
    Ok(disk)
}

fn contents(machine: &Machine, layers: &Layers) -> Vec<Content> {
    let parts = [
        ("package root", &layers.package_root),
        ("configuration", &layers.configuration),
        ("kernel", &machine.kernel),
        ("modules", &machine.modules),
        ("RAM disk", &machine.initrd),
    ];
    parts.map(|(name, layer)| Content { name: name.to_owned(), bytes: layer.bytes }).into()
}

async fn assemble(
    work: &Path,
    out: &Path,
    machine: &Machine,
    layers: &Layers,
) -> Result<(), ImageError> {
    let recipe = recipe::unpack(ASSEMBLER, work)?;
    let parts = [
        ("packages", &layers.package_root),
        ("machine", &machine.modules),
        ("configuration", &layers.configuration),
    ];
    let parts = parts.map(|(name, layer)| format!("{name}={}", layer.path));
    let assembler =
        Command::new(recipe.join("assemble.sh").to_string_lossy()).arg(work.join("parts")).arg(out);
    assembler
        .arg(&machine.kernel.path)
        .arg(&machine.initrd.path)
        .arg(COMMAND_LINE)
        .args(parts)
        .run()
        .await?;
    Ok(())
}

async fn machine(cache_dir: &Path) -> Result<Machine, ImageError> {
    let dir = cache_dir.join("machines");
    files::make_dir(&dir, 0o755)?;
    let name = format!("debian-{}", recipe::digest(MACHINE).short());
    let note = dir.join(format!("{name}.json"));
    if let Some(found) = cache::find(&note, Machine::layers) {
        return Ok(found);
    }
    let work = tempfile::tempdir_in(&dir).map_err(FileError::at("create", &dir))?;
    let out = work.path().join("out");
    files::make_dir(&out, 0o755)?;
    files::make_dir(&work.path().join("work"), 0o755)?;
    let recipe = recipe::unpack(MACHINE, work.path())?;
    let arguments: [&OsStr; 3] =
        [recipe.as_ref(), &work.path().join("work").into_os_string(), out.as_ref()];
    recipe::run("machine layer", &recipe.join("machine.sh"), arguments).await?;
    let layer = |file: &str| {
        let (sha256, bytes) = files::digest(&out.join(file))?;
        Ok::<Layer, FileError>(super::layer(&dir.join(format!("{name}-{file}")), sha256, bytes))
    };
    let machine = Machine {
        kernel: layer("kernel")?,
        initrd: layer("initrd")?,
        modules: layer("machine.squashfs")?,
    };
    let moved = [
        (out.join("kernel"), &machine.kernel),
        (out.join("initrd"), &machine.initrd),
        (out.join("machine.squashfs"), &machine.modules),
    ];
    cache::store(&moved.each_ref().map(|(file, layer)| (file.as_path(), *layer)), &note, &machine)?;
    Ok(machine)
}
