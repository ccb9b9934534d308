//! The policies that the service brings along.

use crate::kms::id::{AccountId, Region};

/// Alias of the key that the filesystem uses when it is told none.
pub const MANAGED_ALIAS: &str = "alias/aws/kmsfs";

/// Identity policy of administrators.
pub(super) const ADMINISTRATION: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Administrators","Effect":"Allow","Action":["kms:*","iam:*"],"Resource":"*"}]}"#;

/// The key policy of a key that was made without one: the account's identity policies decide.
pub fn default_key_policy(account: &AccountId) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Id":"key-default-1","Statement":[{{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{account}:root"}},"Action":"kms:*","Resource":"*"}}]}}"#
    )
}

/// The key policy of the filesystem's managed key: everybody of the account may use it through
/// the filesystem, and the account may look at it.
pub fn managed_key_policy(account: &AccountId, region: &Region) -> String {
    let through = format!(
        r#"{{"Sid":"Allow use through the filesystem for all principals of the account","Effect":"Allow","Principal":{{"AWS":"*"}},"Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*","kms:DescribeKey"],"Resource":"*","Condition":{{"StringEquals":{{"kms:CallerAccount":"{account}","kms:ViaService":"kmsfs.{region}.amazonaws.com"}}}}}}"#
    );
    let look = format!(
        r#"{{"Sid":"Allow direct access to key metadata to the account","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{account}:root"}},"Action":["kms:Describe*","kms:Get*","kms:List*"],"Resource":"*"}}"#
    );
    format!(r#"{{"Version":"2012-10-17","Id":"auto-kmsfs-1","Statement":[{through},{look}]}}"#)
}
