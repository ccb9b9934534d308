//! From a signed request to a caller: whose access key it is, and whether the signature is its.

use std::net::IpAddr;
use std::sync::Arc;

use super::json::Failure;
use super::sigv4::{Expected, Presented, SigError, SignedView, SigningKeys};
use crate::clock::Clock;
use crate::kms::caller::{CallerContext, Source, VpcEndpoint};
use crate::kms::error::KmsError;
use crate::kms::service::{self, AccessKey, Service};

/// Header that a client names itself in.
const USER_AGENT: &str = "user-agent";

/// How a request came.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Peer address.
    pub ip: IpAddr,
    /// Whether it is encrypted.
    pub tls: bool,
    /// The endpoint that it came through.
    pub endpoint: Option<Arc<VpcEndpoint>>,
}

/// Checks signatures against the access keys of a service.
pub struct Authenticator<'a> {
    /// Knows the access keys.
    pub service: &'a Arc<Service>,
    /// Knows the time.
    pub clock: &'a dyn Clock,
    /// Remembers what follows from secrets.
    pub signing_keys: &'a SigningKeys,
}

impl Authenticator<'_> {
    /// Who signed `view` for the AWS service of that name, and the service of the Region that he
    /// signed for.
    pub fn caller(
        &self,
        connection: &Connection,
        view: &SignedView<'_>,
        service: &'static str,
    ) -> Result<(CallerContext, Arc<Service>), Failure> {
        let refuse = |error: SigError| Failure::from(&error);
        let presented = Presented::parse(view).map_err(refuse)?;
        let there = self.service.in_region(&presented.region);
        let there = there.unwrap_or_else(|| Arc::clone(self.service));
        presented
            .check_scope(&Expected {
                region: there.region().as_str(),
                service,
                now: self.clock.now().seconds(),
            })
            .map_err(refuse)?;
        let known = self.known(&presented).map_err(|error| Failure::from(&error))?;
        let known = known.map_err(refuse)?;
        let key = self.signing_keys.of(&presented, known.secret.expose());
        presented.check_with(view, key.expose()).map_err(refuse)?;
        let source = Source::Http {
            ip: connection.ip,
            user_agent: view.header(USER_AGENT).map(str::to_owned),
            tls: connection.tls,
            access_key_id: presented.access_key,
            endpoint: connection.endpoint.clone(),
        };
        let mut caller = CallerContext::direct(known.principal.clone(), source);
        caller.session.clone_from(&known.session);
        Ok((caller, there))
    }

    /// The access key that a request says it was signed with. Long-lived ones come without a
    /// session token, temporary ones with theirs.
    fn known(&self, presented: &Presented) -> Result<Result<Arc<AccessKey>, SigError>, KmsError> {
        let Some(token) = &presented.session_token else {
            let known = self.service.access_key(&presented.access_key)?;
            return Ok(known.ok_or(SigError::UnknownAccessKey));
        };
        Ok(match self.service.session(&presented.access_key, token)? {
            service::Presented::Good(key) => Ok(Arc::new(key)),
            service::Presented::Expired => Err(SigError::ExpiredToken),
            service::Presented::Unknown => Err(SigError::UnknownAccessKey),
        })
    }
}
