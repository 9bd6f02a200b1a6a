//! Ports of this machine that lead to a node.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Session;

/// A port of this machine that leads to a node.
pub struct Tunnel {
    /// Where to connect.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session {
    /// Opens a port of this machine's loopback that leads to `port` of the node's loopback.
    /// Dropping the value closes it.
    ///
    /// # Errors
    /// When this machine has no free port.
    pub async fn tunnel(&self, port: u16) -> std::io::Result<Tunnel> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let session = self.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(session.clone(), client, port));
            }
        });
        Ok(Tunnel { address, task })
    }
}

/// An error only ends this one connection: its client sees it closed.
async fn forward(session: Session, mut client: TcpStream, port: u16) {
    if let Ok(mut stream) = session.stream(port).await {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut stream).await;
    }
}
