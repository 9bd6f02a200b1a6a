//! Makes the snapshot of a disk in the project of a fake. For `tests/hetzner/upload`.
//! usage: upload URL TOKEN IMAGE FILE BYTES SHA256
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what came of it is what it is asked for"
)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use pgha_hetzner::{Api, Disk, Site, Token, Upload, Wanted};

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match store().await {
        Ok(made) => println!("{}", if made { "stored" } else { "there already" }),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn store() -> Result<bool, Box<dyn std::error::Error>> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let [url, token, image, file, bytes, sha256] = &arguments[..] else {
        return Err("usage: upload URL TOKEN IMAGE FILE BYTES SHA256".into());
    };
    let wanted = Wanted {
        cluster: "demo".to_owned(),
        location: "fsn1".to_owned(),
        network_zone: "eu-central".to_owned(),
        server_types: vec!["cx23".to_owned()],
        network: "10.84.0.0/24".to_owned(),
        operators: vec!["0.0.0.0/0".to_owned()],
        public_key: String::new(),
        volume_gb: 10,
    };
    let api = Api::on_loopback(&Token::new(token), url, Duration::from_millis(100))?;
    let disk = Disk { file: Path::new(file), bytes: bytes.parse()?, sha256 };
    let upload = Upload { image, disk, architecture: "x86", labels: Default::default() };
    Ok(Site::new(api, wanted).store_image(&upload).await?)
}
