//! What a custom key store stands for, from the members of a request: a cluster of HSMs, or the
//! proxy of an external key manager. Members of the other kind are refused, whatever they say.

use crate::kms::api::types::{CustomKeyStoreType, XksConnectivity};
use crate::kms::api::{CreateCustomKeyStoreRequest, UpdateCustomKeyStoreRequest};
use crate::kms::error::{KmsError, Violation};
use crate::kms::keystore::{Behind, KeyStoreRecord, Proxy};

/// What a new key store is to stand for, and the credential of the service there.
pub(super) fn asked_for(r: &CreateCustomKeyStoreRequest) -> Result<(Behind, &[u8]), KmsError> {
    let missing = |member: &str| Violation::Missing { member: member.to_owned() };
    let foreign = |member: &str| Violation::KeyStoreMember { member: member.to_owned() };
    if r.custom_key_store_type != Some(CustomKeyStoreType::External) {
        for (there, member) in [
            (r.xks_proxy_connectivity.is_some(), "xksProxyConnectivity"),
            (r.xks_proxy_uri_endpoint.is_some(), "xksProxyUriEndpoint"),
            (r.xks_proxy_uri_path.is_some(), "xksProxyUriPath"),
            (r.xks_proxy_authentication_credential.is_some(), "xksProxyAuthenticationCredential"),
            (r.xks_proxy_vpc_endpoint_service_name.is_some(), "xksProxyVpcEndpointServiceName"),
            (r.xks_proxy_vpc_endpoint_service_owner.is_some(), "xksProxyVpcEndpointServiceOwner"),
        ] {
            if there {
                return Err(foreign(member).into());
            }
        }
        let id = r.cloud_hsm_cluster_id.clone().ok_or_else(|| missing("cloudHsmClusterId"))?;
        let trust_anchor =
            r.trust_anchor_certificate.clone().ok_or_else(|| missing("trustAnchorCertificate"))?;
        let password = r.key_store_password.as_ref().ok_or_else(|| missing("keyStorePassword"))?;
        return Ok((Behind::Cluster { id, trust_anchor }, password.expose()));
    }
    for (there, member) in [
        (r.cloud_hsm_cluster_id.is_some(), "cloudHsmClusterId"),
        (r.trust_anchor_certificate.is_some(), "trustAnchorCertificate"),
        (r.key_store_password.is_some(), "keyStorePassword"),
    ] {
        if there {
            return Err(foreign(member).into());
        }
    }
    let connectivity = r.xks_proxy_connectivity.ok_or_else(|| missing("xksProxyConnectivity"))?;
    let endpoint =
        r.xks_proxy_uri_endpoint.clone().ok_or_else(|| missing("xksProxyUriEndpoint"))?;
    let path = r.xks_proxy_uri_path.clone().ok_or_else(|| missing("xksProxyUriPath"))?;
    let credential = r.xks_proxy_authentication_credential.as_ref();
    let credential = credential.ok_or_else(|| missing("xksProxyAuthenticationCredential"))?;
    let vpc_service = r.xks_proxy_vpc_endpoint_service_name.clone();
    fits(connectivity, vpc_service.as_ref())?;
    let proxy = Proxy {
        connectivity,
        endpoint,
        path,
        vpc_service,
        vpc_owner: r.xks_proxy_vpc_endpoint_service_owner.clone(),
        access_key_id: credential.access_key_id.clone(),
    };
    Ok((Behind::Proxy(proxy), credential.raw_secret_access_key.expose()))
}

/// Whether there is an endpoint service exactly if there must be one.
fn fits(connectivity: XksConnectivity, service: Option<&String>) -> Result<(), KmsError> {
    let member = || "xksProxyVpcEndpointServiceName".to_owned();
    match (connectivity, service) {
        (XksConnectivity::VpcService, None) => Err(Violation::Missing { member: member() }.into()),
        (XksConnectivity::Public, Some(_)) => {
            Err(Violation::KeyStoreMember { member: member() }.into())
        }
        _ => Ok(()),
    }
}

/// Makes the changes that are asked for.
pub(super) fn change_behind(
    behind: &mut Behind,
    r: &UpdateCustomKeyStoreRequest,
) -> Result<(), KmsError> {
    let foreign = |member: &str| Violation::KeyStoreMember { member: member.to_owned() };
    match behind {
        Behind::Cluster { .. } if r.names_proxy() => return Err(foreign("xksProxy").into()),
        Behind::Proxy(_) if r.names_cluster() => return Err(foreign("cloudHsmClusterId").into()),
        Behind::Cluster { id, .. } => {
            if let Some(new) = &r.cloud_hsm_cluster_id {
                id.clone_from(new);
            }
        }
        Behind::Proxy(proxy) => {
            if let Some(connectivity) = r.xks_proxy_connectivity {
                proxy.connectivity = connectivity;
                if connectivity == XksConnectivity::Public {
                    (proxy.vpc_service, proxy.vpc_owner) = (None, None);
                }
            }
            let put = |to: &mut String, new: &Option<String>| {
                if let Some(new) = new {
                    to.clone_from(new);
                }
            };
            put(&mut proxy.endpoint, &r.xks_proxy_uri_endpoint);
            put(&mut proxy.path, &r.xks_proxy_uri_path);
            if let Some(credential) = &r.xks_proxy_authentication_credential {
                proxy.access_key_id.clone_from(&credential.access_key_id);
            }
            let service = &r.xks_proxy_vpc_endpoint_service_name;
            proxy.vpc_service = service.clone().or(proxy.vpc_service.take());
            let owner = &r.xks_proxy_vpc_endpoint_service_owner;
            proxy.vpc_owner = owner.clone().or(proxy.vpc_owner.take());
            fits(proxy.connectivity, proxy.vpc_service.as_ref())?;
        }
    }
    Ok(())
}

/// Whether no other key store stands for the same.
pub(super) fn is_free(others: &[KeyStoreRecord], behind: &Behind) -> Result<(), KmsError> {
    for other in others {
        match (&other.behind, behind) {
            (Behind::Cluster { id: theirs, .. }, Behind::Cluster { id, .. }) if theirs == id => {
                return Err(KmsError::ClusterInUse { id: id.clone() });
            }
            (Behind::Proxy(theirs), Behind::Proxy(ours)) => {
                let service = |proxy: &Proxy| proxy.vpc_service.clone();
                if let (Some(name), true) = (service(ours), service(theirs) == service(ours)) {
                    return Err(KmsError::VpcServiceInUse { name });
                }
                if theirs.endpoint == ours.endpoint && theirs.path == ours.path {
                    let uri = format!("{}{}", ours.endpoint, ours.path);
                    return Err(KmsError::ProxyUriInUse { uri });
                }
                // Different ways to one host would be two proxies of one name.
                if theirs.endpoint == ours.endpoint && theirs.connectivity != ours.connectivity {
                    return Err(KmsError::ProxyEndpointInUse { endpoint: ours.endpoint.clone() });
                }
            }
            _ => {}
        }
    }
    Ok(())
}
