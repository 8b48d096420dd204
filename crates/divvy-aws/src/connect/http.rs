//! The HTTP client: rustls with ring, the certificates of the system, and its proxies.

use std::net::IpAddr;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use divvy::store::{StoreError, StoreErrorKind};

use super::cause::{UnknownHost, causes, is_unknown_host};

/// Makes the client. It follows `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, and trusts
/// the certificates of the system (`SSL_CERT_FILE` and `SSL_CERT_DIR` followed) and those of
/// `AWS_CA_BUNDLE`.
///
/// # Errors
///
/// The bundle cannot be read.
pub(super) fn client() -> Result<SharedHttpClient, StoreError> {
    let trust = match std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        None => TrustStore::default(),
        Some(path) => {
            let bundle = std::fs::read(&path).map_err(|cause| {
                let path = path.display();
                let doing = format!("cannot read the certificates of AWS_CA_BUNDLE ({path})");
                StoreError::with_source(StoreErrorKind::Unreachable, doing, cause)
            })?;
            TrustStore::default().with_pem_certificate(bundle)
        }
    };
    let tls = TlsContext::builder().with_trust_store(trust).build();
    let tls = tls.map_err(|cause| {
        let doing = "the certificates of this system are of no use";
        StoreError::with_source(StoreErrorKind::Unreachable, doing, cause)
    })?;
    Ok(SharedHttpClient::new(ByHost {
        direct: through(ProxyConfig::disabled(), tls.clone()),
        proxied: through(ProxyConfig::from_env(), tls),
    }))
}

fn through(proxy: ProxyConfig, tls: TlsContext) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(proxy.clone());
        if let Some(settings) = settings {
            connector = connector.connector_settings(settings.clone());
        }
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls.clone())
            .build()
    })
}

/// Sends requests through the proxy, except those to addresses that a proxy cannot reach: this
/// machine, and the credential services of instances and containers.
#[derive(Debug)]
struct ByHost<T> {
    direct: T,
    proxied: T,
}

impl HttpClient for ByHost<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(ByHost {
            direct: self.direct.http_connector(settings, components),
            proxied: self.proxied.http_connector(settings, components),
        })
    }
}

impl HttpConnector for ByHost<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = host(request.uri()).to_owned();
        let call = if is_near(request.uri()) {
            self.direct.call(request)
        } else {
            self.proxied.call(request)
        };
        HttpConnectorFuture::new(async move { call.await.map_err(|error| named(error, host)) })
    }
}

/// Adds the name of the host to the error where it did not resolve.
fn named(error: ConnectorError, host: String) -> ConnectorError {
    if causes(&error).any(is_unknown_host) {
        let source = error.into();
        ConnectorError::io(UnknownHost { host, source }.into())
    } else {
        error
    }
}

/// Returns whether a URL points to this machine.
pub fn is_this_machine(url: &str) -> bool {
    let host = host(url);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Returns whether a URL points to this machine or to a link-local address.
fn is_near(url: &str) -> bool {
    let is_link = |ip| match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        // The credential service of instances and pods.
        IpAddr::V6(ip) => ip.segments()[..2] == [0xfd00, 0x0ec2],
    };
    is_this_machine(url) || host(url).parse().is_ok_and(is_link)
}

/// Returns the host of a URL, without port and brackets.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or(authority);
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_addresses_bypass_the_proxy() {
        for near in [
            "http://127.0.0.1:8000/",
            "http://localhost:4566",
            "http://[::1]:8000/",
            "http://169.254.169.254/latest/meta-data/",
            "http://169.254.170.2/v2/credentials",
            "http://[fd00:ec2::254]/latest",
        ] {
            assert!(is_near(near), "{near}");
        }
        for far in [
            "https://dynamodb.us-east-2.amazonaws.com/",
            "http://10.0.0.1:8000",
            "https://localhost.example.com",
            "http://127.0.0.1@example.com/",
        ] {
            assert!(!is_near(far), "{far}");
        }
        assert!(!is_this_machine("http://169.254.169.254/"));
    }
}
