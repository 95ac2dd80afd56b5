//! The guestbook's tables: migrations with SeaORM's own trait, and the entities.

use sea_orm_migration::prelude::*;

/// Notes, and how many each author wrote. Forward only; its name is what `migrations_guestbook` records.
pub(super) struct M0001Notes;

impl MigrationName for M0001Notes {
    fn name(&self) -> &str {
        "M0001Notes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for M0001Notes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let notes = Table::create()
            .table("guestbook_notes")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("author_id").uuid().not_null())
            .col(ColumnDef::new("text").text().not_null())
            .col(ColumnDef::new("written_at").big_integer().not_null())
            .to_owned();
        let counts = Table::create()
            .table("guestbook_counts")
            .col(ColumnDef::new("author_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("note_count").big_integer().not_null())
            .to_owned();
        let by_author =
            Index::create().name("guestbook_notes_by_author").table("guestbook_notes").col("author_id").to_owned();
        manager.create_table(notes).await?;
        manager.create_table(counts).await?;
        manager.create_index(by_author).await
    }
}

/// What was written.
pub(super) mod notes {
    use sea_orm::entity::prelude::*;
    use tally::kernel::clock::Millis;

    /// A note.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "guestbook_notes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub author_id: Uuid,
        pub text: String,
        pub written_at: Millis,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// The figure.
pub(super) mod counts {
    use sea_orm::entity::prelude::*;

    /// How many notes an author has.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "guestbook_counts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub author_id: Uuid,
        pub note_count: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
