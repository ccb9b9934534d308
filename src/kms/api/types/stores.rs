//! AWS's enumerations of custom key stores.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::enums::aws_enum;

aws_enum! {
    /// Kinds of custom key stores.
    CustomKeyStoreType {
        /// An HSM cluster.
        CloudHsm = "AWS_CLOUDHSM",
        /// Another key manager.
        External = "EXTERNAL_KEY_STORE",
    }
}

aws_enum! {
    /// Ways to the proxy of an external key manager.
    XksConnectivity {
        /// Over the network.
        Public = "PUBLIC_ENDPOINT",
        /// Through a VPC endpoint service.
        VpcService = "VPC_ENDPOINT_SERVICE",
    }
}

aws_enum! {
    /// Why a custom key store could not be connected.
    ConnectionError {
        /// The service's user is refused there.
        InvalidCredentials = "INVALID_CREDENTIALS",
        /// There is no such cluster.
        ClusterNotFound = "CLUSTER_NOT_FOUND",
        /// It does not answer.
        Network = "NETWORK_ERRORS",
        /// The service's own fault.
        Internal = "INTERNAL_ERROR",
        /// The proxy does not answer.
        ProxyNotReachable = "XKS_PROXY_NOT_REACHABLE",
        /// The proxy refuses the service's credential.
        ProxyAccessDenied = "XKS_PROXY_ACCESS_DENIED",
    }
}
