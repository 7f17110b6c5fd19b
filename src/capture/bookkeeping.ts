/** Tables in which migration tools keep their own books, by name in any schema. */
const names = [
  '_prisma_migrations', '__drizzle_migrations', 'knex_migrations', 'knex_migrations_lock', 'kysely_migration',
  'kysely_migration_lock', 'mikro_orm_migrations', 'typeorm_metadata', 'sequelizemeta', 'schema_migrations',
  'pgmigrations', 'flyway_schema_history', 'databasechangelog', 'databasechangeloglock', 'goose_db_version',
  'alembic_version', 'django_migrations', 'ar_internal_metadata', 'atlas_schema_revisions',
] // prettier-ignore

/** TypeORM's table has a name that anybody might use: only its exact columns give it away. */
export function isBookkeeping(table: string, columns: readonly { readonly name: string }[]): boolean {
  if (names.includes(table.toLowerCase())) return true
  return table === 'migrations' && columns.map((column) => column.name).join() === 'id,timestamp,name'
}
