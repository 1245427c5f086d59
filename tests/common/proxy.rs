//! A proxy on the loopback between voxage and a server, which does what networks do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What befalls the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nothing gets through, and what is open breaks off.
    Cut,
    /// Every request of HTTP is answered by 503.
    Busy,
    /// Each chunk takes its time.
    Slow,
    /// Every third chunk breaks the connection.
    Breaking,
    /// Every second answer to a PUT is lost, although the PUT succeeded.
    LosingAnswers,
}

pub struct Proxy {
    port: u16,
    fault: Arc<Mutex<Fault>>,
}

impl Proxy {
    /// A proxy to a server on the loopback.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let fault = Arc::new(Mutex::new(Fault::None));
        let seen = Arc::clone(&fault);
        let count = Arc::new(AtomicU32::new(0));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (seen, count) = (Arc::clone(&seen), Arc::clone(&count));
                thread::spawn(move || serve(client.unwrap(), port, &seen, &count));
            }
        });
        Self { port: own, fault }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

fn serve(client: TcpStream, port: u16, fault: &Arc<Mutex<Fault>>, count: &Arc<AtomicU32>) {
    if *fault.lock().unwrap() == Fault::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let put = Arc::new(AtomicBool::new(false));
    let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let (faults, puts, counts) = (Arc::clone(fault), Arc::clone(&put), Arc::clone(count));
    thread::spawn(move || {
        pass(from_server, to_client, &faults, |fault, _, _| {
            let lost = fault == Fault::LosingAnswers && puts.swap(false, Ordering::SeqCst);
            !(lost && counts.fetch_add(1, Ordering::SeqCst) % 2 == 0)
        });
    });
    pass(client, server, fault, |fault, chunk, client| {
        if chunk.starts_with(b"PUT ") {
            put.store(true, Ordering::SeqCst);
        }
        match fault {
            Fault::Busy => {
                let answer =
                    b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = client.write_all(answer);
                false
            }
            Fault::Breaking => count.fetch_add(1, Ordering::SeqCst) % 3 != 2,
            _ => true,
        }
    });
}

/// Passes chunks on as long as `keep` says so.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    fault: &Mutex<Fault>,
    mut keep: impl FnMut(Fault, &[u8], &mut TcpStream) -> bool,
) {
    from.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut chunk);
        let now = *fault.lock().unwrap();
        let n = match read {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && now != Fault::Cut => {
                continue;
            }
            Ok(n) if n > 0 => n,
            _ => break,
        };
        if now == Fault::Slow {
            thread::sleep(Duration::from_millis(100));
        }
        let go_on = now != Fault::Cut && keep(now, &chunk[..n], &mut from);
        if !go_on || to.write_all(&chunk[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
