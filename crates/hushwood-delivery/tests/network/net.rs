//! A client of the server: HTTP/1.1 or HTTP/2, plain or with TLS and a pinned certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hushwood_codec::Decode;
use hushwood_delivery::server::Fingerprint;
use hushwood_delivery::wire::{Access, Answer, Call, CallKind, MEDIA_TYPE, Refused};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes both ways.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// How to reach a server.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub address: SocketAddr,
    pub pin: Option<Fingerprint>,
}

impl Place {
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, pin: None }
    }

    /// A socket, with TLS if there is a certificate to be known by. `protocol` is what is offered in it.
    pub async fn socket(&self, protocol: &str) -> Result<Box<dyn Socket>, std::io::Error> {
        let socket = TcpStream::connect(self.address).await?;
        let Some(pin) = self.pin else { return Ok(Box::new(socket)) };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let pinned = Pinned { pin, algorithms: provider.signature_verification_algorithms };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pinned))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("anything.example").unwrap();
        let socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
        assert_eq!(socket.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        Ok(Box::new(socket))
    }

    /// One call on a connection of its own, over HTTP/2.
    pub async fn call(&self, call: Call, token: Option<&[u8]>) -> Result<Answer, Refused> {
        Net::http2(*self).await.call(call, token).await
    }

    /// Whether HTTP/1.1 gets nowhere here.
    pub async fn call_fails(&self) -> bool {
        let mut net = Net::http1(*self).await;
        let call = request(CallKind::Challenge, Vec::new(), None);
        net.send(call).await.is_err()
    }
}

/// A connection.
pub enum Net {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn refused(&self) -> Refused {
        Refused::from_bytes(&self.body).unwrap()
    }
}

impl Net {
    pub async fn http1(place: Place) -> Self {
        let socket = TokioIo::new(place.socket("http/1.1").await.unwrap());
        let (sender, connection) = http1::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        Self::One(sender)
    }

    pub async fn http2(place: Place) -> Self {
        let socket = TokioIo::new(place.socket("h2").await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), socket).await.unwrap();
        tokio::spawn(connection);
        Self::Two(sender)
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, hyper::Error> {
        let response = match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    pub async fn call(&mut self, call: Call, token: Option<&[u8]>) -> Result<Answer, Refused> {
        let kind = call.kind();
        let reply = self.send(request(kind, call.to_body().unwrap(), token)).await.unwrap();
        assert_eq!(reply.headers["content-type"], MEDIA_TYPE);
        assert_eq!(reply.headers["cache-control"], "no-store");
        match reply.status {
            StatusCode::OK => Ok(Answer::from_body(kind, &reply.body).unwrap()),
            status => {
                let refused = reply.refused();
                assert_eq!(refused.status(), status.as_u16());
                assert_eq!(reply.headers.contains_key("retry-after"), refused.retry_after.is_some());
                Err(refused)
            }
        }
    }
}

/// A request with any body.
pub fn request(kind: CallKind, body: Vec<u8>, token: Option<&[u8]>) -> Request<Full<Bytes>> {
    let mut request = Request::post(format!("https://delivery.example{}", kind.path()))
        .header("host", "delivery.example")
        .header("content-type", MEDIA_TYPE);
    if let Some(token) = token.filter(|_| kind.access() == Access::Device) {
        request = request.header("authorization", bearer(token));
    }
    request.body(Full::new(Bytes::from(body))).unwrap()
}

pub fn bearer(token: &[u8]) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding};
    format!("Bearer {}", Base64UrlUnpadded::encode_string(token))
}

/// Takes the certificate with this fingerprint and no other.
#[derive(Debug)]
struct Pinned {
    pin: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match Fingerprint(Sha256::digest(certificate).into()) == self.pin {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::Error::General("another certificate".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
