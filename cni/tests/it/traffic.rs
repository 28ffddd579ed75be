//! Servers in pods and clients anywhere: each answer tells who answered and whom it saw.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use labs::Netns;

/// How long a client waits where an answer is expected; nothing waits so long that works.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it waits where none is expected.
const BRIEFLY: Duration = Duration::from_millis(300);

/// Answers `NAME to ADDRESS` on this port of both families by TCP and UDP, until the test ends.
pub(crate) fn serve(pod: &Netns, port: u16) {
    let any = SocketAddr::from(([0_u16; 8], port));
    let (listener, socket) = pod.enter(|| (TcpListener::bind(any), UdpSocket::bind(any)));
    let (listener, socket) = (listener.expect("a port"), socket.expect("a port"));
    let name = pod.name().to_owned();
    let text = move |peer: SocketAddr| format!("{name} to {}", peer.ip().to_canonical());
    let of_tcp = text.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let peer = stream.peer_addr().map(&of_tcp);
            let _ = peer.and_then(|text| stream.write_all(text.as_bytes()));
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(text(peer).as_bytes(), peer);
        }
    });
}

/// What a server answers to a connection.
pub(crate) fn tcp(from: &Netns, to: &str, port: u16) -> io::Result<String> {
    request(from, to, port, "")
}

/// The last line of what a server of HTTP answers.
pub(crate) fn http(from: &Netns, to: &str, port: u16) -> io::Result<String> {
    let answer = request(from, to, port, "GET / HTTP/1.0\r\n\r\n")?;
    Ok(answer.lines().last().unwrap_or_default().to_owned())
}

fn request(from: &Netns, to: &str, port: u16, text: &str) -> io::Result<String> {
    let to = SocketAddr::new(to.parse().expect("an address"), port);
    from.enter(|| {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(text.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
}

/// A client of UDP that keeps its port.
pub(crate) fn client(from: &Netns, to: &str, port: u16) -> UdpSocket {
    let to: IpAddr = to.parse().expect("an address");
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = from.enter(|| UdpSocket::bind(any)).expect("a socket");
    socket.connect((to, port)).expect("a route");
    socket
}

/// What a server answers to one datagram.
pub(crate) fn ask(client: &UdpSocket) -> io::Result<String> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.send(b"?")?;
    let mut buffer = [0; 64];
    let length = client.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// How many connections [`flows`] opens.
const FLOWS: u32 = 200;

/// The time of one datagram and its answer, each from a port of its own.
pub(crate) fn flows(from: &Netns, to: &str, port: u16) -> Duration {
    let to = SocketAddr::new(to.parse().expect("an address"), port);
    from.enter(|| {
        let open = |_| {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
            socket.connect(to).expect("a route");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            socket
        };
        let sockets: Vec<UdpSocket> = (0..FLOWS).map(open).collect();
        let start = Instant::now();
        for socket in &sockets {
            socket.send(b"?").and_then(|_| socket.recv(&mut [0; 64])).expect("an answer");
        }
        start.elapsed() / FLOWS
    })
}

/// What a server answers to one datagram from a new port.
pub(crate) fn udp(from: &Netns, to: &str, port: u16) -> io::Result<String> {
    ask(&client(from, to, port))
}

/// No datagram to `to` is answered.
#[track_caller]
pub(crate) fn silent(client: &UdpSocket) {
    client.set_read_timeout(Some(BRIEFLY)).expect("a timeout");
    let answer = client.send(b"?").and_then(|_| client.recv(&mut [0; 64]));
    assert!(answer.is_err(), "somebody answers");
}
