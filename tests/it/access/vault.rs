//! A module with a kind of node that not everybody may find.

use async_graphql::{Object, OutputType as _};
use tally::kernel::auth::{Access, Role, Root};
use tally::kernel::error::Result;
use tally::kernel::graphql::{BoxNode, NoFields, NodeKind};
use tally::kernel::id::Id;
use tally::kernel::module::{Module, Start};

tally::app! {
    /// tally with a vault.
    pub(super) WithVault {
        tally::modules::users::Users,
        Vault,
    }
}

tally::id_kind! {
    /// Ids of secrets.
    SecretKind = "secret";
}

/// The id of a secret: there is one under every id.
pub(super) const SOME: &str = "secret_01kdw8f8c0fb0t3z3z3z3z3z3z";

const STAFF: Access = Access::Roles(&[Role::Service, Role::Operator]);

/// The module.
pub struct Vault;

impl Module for Vault {
    type Query = VaultQuery;
    type Mutation = NoFields;
    type Subscription = NoFields;
    type Viewer = NoFields;

    const NAME: &'static str = "vault";
    const ACCESS: &'static [(Root, &'static str, Access)] = &[(Root::Query, "secret", STAFF)];

    fn nodes() -> Vec<NodeKind> {
        vec![NodeKind {
            prefix: "secret",
            access: STAFF,
            register: Secret::create_type_info,
            load: |_, id| Box::pin(async move { Ok(Some(BoxNode::new(Secret(Id::new(id))))) }),
        }]
    }

    async fn start(_: &mut Start<'_>) -> Result<()> {
        Ok(())
    }
}

/// A secret.
pub struct Secret(Id<SecretKind>);

/// What not everybody may read.
#[Object]
impl Secret {
    /// `secret_…`
    async fn id(&self) -> Id<SecretKind> {
        self.0
    }

    /// What it says.
    async fn text(&self) -> &str {
        "hush"
    }
}

/// Root queries.
#[derive(Default)]
pub struct VaultQuery;

#[Object]
impl VaultQuery {
    /// A secret by id.
    async fn secret(&self, id: Id<SecretKind>) -> Secret {
        Secret(id)
    }
}
