import { describe, expect, it } from 'vitest'
import { hasMariadb } from '../harness/mariadb.ts'
import { world } from './fixture.ts'

const masked = { $: 'masked' }

describe.skipIf(!hasMariadb)('what foreign keys do without firing a trigger', () => {
  it('is recorded two levels down, each table by its own policy', async () => {
    const { sql, recorded, entries } = await world(
      `create table customer (id int primary key);
       create table invoice (id int primary key, customer_id int, total int, foreign key (customer_id) references customer (id) on delete cascade);
       create table line (invoice_id int, no int, secret varchar(20), primary key (invoice_id, no), foreign key (invoice_id) references invoice (id) on delete cascade);
       create table note (id int primary key, line_invoice int, line_no int, foreign key (line_invoice, line_no) references line (invoice_id, no) on delete set null);
       insert into customer values (1), (2);
       insert into invoice values (10, 1, 5), (20, 2, 6);
       insert into line values (10, 1, 's3cret'), (10, 2, null), (20, 1, 's3cret');
       insert into note values (7, 10, 2), (8, 20, 1)`,
      { models: { line: { label: 'line {no}', subject: 'invoice_id' }, invoice: { category: 'billing' } } },
    )
    await sql('delete from customer where id = 1')
    const all = await recorded()
    expect(new Set(all)).toEqual(
      new Set([
        ['DELETE', 'invoice', '10', { id: [10, null], customer_id: [1, null], total: [5, null] }],
        ['DELETE', 'line', '["10","1"]', { invoice_id: [10, null], no: [1, null], secret: [masked, null] }],
        ['DELETE', 'line', '["10","2"]', { invoice_id: [10, null], no: [2, null], secret: [null, null] }],
        ['UPDATE', 'note', '7', { line_invoice: [10, null], line_no: [2, null] }],
        ['DELETE', 'customer', '1', { id: [1, null] }],
      ]),
    )
    const changes = (await entries()).filter(({ kind }) => kind === 'change')
    expect(new Set(changes.map(({ tx }) => tx)).size).toBe(1)
    const line = changes.find(({ target }) => target?.id === '["10","1"]')
    expect([line?.target?.label, line?.subject]).toEqual(['line 1', '10'])
    expect(changes.find(({ target }) => target?.model === 'invoice')?.category).toBe('billing')
    expect(await sql('select count(*) as n from line')).toEqual([{ n: 1 }])
  })

  it('is recorded of changed keys, and not of a parent that changes otherwise', async () => {
    const { sql, recorded } = await world(
      `create table parent (id varchar(10) collate utf8mb4_general_ci primary key, name varchar(10));
       create table child (parent_id varchar(10) collate utf8mb4_general_ci primary key, foreign key (parent_id) references parent (id) on update cascade);
       create table grandchild (id int primary key, child_id varchar(10) collate utf8mb4_general_ci, foreign key (child_id) references child (parent_id) on update cascade);
       create table loose (id int primary key, parent_id varchar(10) collate utf8mb4_general_ci, foreign key (parent_id) references parent (id) on update set null);
       insert into parent values ('a', 'x'); insert into child values ('a'); insert into grandchild values (1, 'a'); insert into loose values (1, 'a')`,
    )
    await sql(`update parent set name = 'y'`)
    expect(await recorded()).toEqual([['UPDATE', 'parent', 'a', { name: ['x', 'y'] }]])
    await sql(`update parent set id = 'b'`)
    expect(new Set(await recorded())).toEqual(
      new Set([
        ['UPDATE', 'child', 'a', { parent_id: ['a', 'b'] }],
        ['UPDATE', 'grandchild', '1', { child_id: ['a', 'b'] }],
        ['UPDATE', 'loose', '1', { parent_id: ['a', null] }],
        ['UPDATE', 'parent', 'a', { id: ['a', 'b'] }],
      ]),
    )
    expect(await sql('select child_id, (select parent_id from loose) as loose from grandchild')).toEqual([
      { child_id: 'b', loose: null },
    ])
  })

  it('is recorded of a tree down to its leaves, and of what hangs on them', async () => {
    const { sql, recorded } = await world(
      `create table node (id int primary key, parent_id int, foreign key (parent_id) references node (id) on delete cascade);
       create table item (id int primary key, node_id int, foreign key (node_id) references node (id) on delete cascade);
       insert into node values (1, null), (2, 1), (3, 2), (4, 3), (5, 1), (9, null);
       insert into item values (1, 1), (4, 4), (5, 5), (9, 9)`,
    )
    await sql('delete from node where id = 1')
    const short = (await recorded()).map(([action, model, id]) => `${action} ${model} ${id}`)
    expect(short.toSorted()).toEqual(
      ['node 1', 'node 2', 'node 3', 'node 4', 'node 5', 'item 1', 'item 4', 'item 5']
        .map((row) => `DELETE ${row}`)
        .toSorted(),
    )
    expect(
      await sql('select (select count(*) from node) as nodes, (select count(*) from item) as items'),
    ).toEqual([{ nodes: 1, items: 1 }])
  })

  it('is recorded once of a row that is reached on two ways', async () => {
    const { sql, recorded } = await world(
      `create table person (id int primary key);
       create table team (id int primary key, lead int, foreign key (lead) references person (id) on delete cascade);
       create table pair (id int primary key, a int, b int, team_id int, foreign key (a) references person (id) on delete cascade,
         foreign key (b) references person (id) on delete cascade, foreign key (team_id) references team (id) on delete cascade);
       insert into person values (1), (2); insert into team values (1, 1);
       insert into pair values (1, 1, 1, 1), (2, 1, 2, null), (3, 2, 1, null), (4, 2, 2, 1), (5, 2, 2, null)`,
    )
    await sql('delete from person where id = 1')
    const short = (await recorded()).map(([, model, id]) => `${model} ${id}`)
    expect(short.toSorted()).toEqual(['pair 1', 'pair 2', 'pair 3', 'pair 4', 'person 1', 'team 1'])
    expect(await sql('select count(*) as n from pair')).toEqual([{ n: 1 }])
  })

  it('goes on through a table that the policy leaves out', async () => {
    const { sql, recorded } = await world(
      `create table a (id int primary key);
       create table b (id int primary key, a_id int, foreign key (a_id) references a (id) on delete cascade);
       create table c (id int primary key, b_id int, foreign key (b_id) references b (id) on delete cascade);
       insert into a values (1); insert into b values (1, 1); insert into c values (1, 1)`,
      { models: { b: false } },
    )
    await sql('delete from a')
    expect((await recorded()).map(([, model]) => model)).toEqual(['c', 'a'])
  })

  it('leaves nothing where the statement is refused, and nothing where keys are not checked', async () => {
    const { sql, recorded } = await world(
      `create table a (id int primary key);
       create table b (id int primary key, a_id int, foreign key (a_id) references a (id) on delete cascade);
       create table c (id int primary key, a_id int, foreign key (a_id) references a (id));
       insert into a values (1); insert into b values (1, 1); insert into c values (1, 1)`,
    )
    await expect(sql('delete from a')).rejects.toThrow(/foreign key/)
    await sql('begin')
    await expect(sql('delete from a')).rejects.toThrow(/foreign key/)
    await sql('commit')
    expect(await recorded()).toEqual([])
    await sql('set foreign_key_checks = 0; delete from a; set foreign_key_checks = 1')
    expect((await recorded()).map(([, model]) => model)).toEqual(['a'])
    expect(await sql('select count(*) as n from b')).toEqual([{ n: 1 }])
  })

  it('is recorded of many rows, as one transaction', async () => {
    const { sql, recorded } = await world(
      `create table a (id int primary key);
       create table b (id int primary key, a_id int, foreign key (a_id) references a (id) on delete cascade);
       insert into a values (1), (2); insert into b select seq, 1 + seq % 2 from seq_1_to_4000`,
    )
    await sql('delete from a where id = 1')
    expect(await recorded()).toHaveLength(2001)
    await sql('replace into a values (2)')
    expect((await recorded()).filter(([action, model]) => action === 'DELETE' && model === 'b')).toHaveLength(
      2000,
    )
  })

  it('says where a circle of keys makes it incomplete', async () => {
    const { audit, sql, recorded } = await world(
      `create table a (id int primary key, b_id int);
       create table b (id int primary key, a_id int, foreign key (a_id) references a (id) on delete cascade);
       alter table a add foreign key (b_id) references b (id) on delete cascade;
       insert into a values (1, null); insert into b values (1, 1); insert into a values (2, 1)`,
      {},
      false,
    )
    const { warnings } = await audit.migrate()
    expect(warnings.filter((warning) => warning.includes('circle'))).toEqual([
      'a: its foreign keys come back to a in a circle, where cascades are not recorded',
      'b: its foreign keys come back to b in a circle, where cascades are not recorded',
    ])
    await sql('delete from a where id = 1')
    expect((await recorded()).map(([, model, id]) => `${model} ${id}`)).toEqual(['b 1', 'a 1'])
  })

  it('fails no write when the table that refers has changed or is gone', async () => {
    const { sql, recorded } = await world(
      `create table a (id int primary key);
       create table b (id int primary key, a_id int, n int, foreign key (a_id) references a (id) on delete cascade);
       insert into a values (1), (2); insert into b values (1, 1, 1), (2, 2, 2)`,
    )
    await sql('alter table b rename column n to m')
    await sql('delete from a where id = 1')
    await sql('drop table b')
    await sql('delete from a where id = 2')
    expect((await recorded()).filter(([, model]) => model === 'a')).toHaveLength(2)
  })
})
