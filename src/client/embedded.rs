//! The service in this very process: the same messages, without a wire.

use super::conn::{KmsConn, Unreachable};
use crate::kms::service::Service;
use crate::server::dispatch::{Dispatcher, Handler as _, Peer};
use crate::server::messages::{Answer, Ask};
use std::collections::HashSet;
use std::sync::Arc;

/// Asks a [`Service`] directly.
pub struct Embedded {
    dispatcher: Dispatcher,
}

impl Embedded {
    /// In front of an opened service.
    pub fn new(service: Arc<Service>) -> Self {
        // No peer but this process, so nobody else needs to be trusted.
        Self { dispatcher: Dispatcher::new(service, HashSet::new()) }
    }
}

impl KmsConn for Embedded {
    fn ask(&self, ask: Ask) -> Result<Answer, Unreachable> {
        Ok(self.dispatcher.answer(Peer::Embedded, ask))
    }

    fn epoch(&self) -> u64 {
        self.dispatcher.epoch().count
    }

    fn current(&self) -> bool {
        true
    }
}
