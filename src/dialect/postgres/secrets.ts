import { secretWords } from '../../core/internal.ts'
import { literal } from './quote.ts'
import { pinnedPath as pinned } from './settings.ts'

/** The built-in secret names as they show in a text that has lost everything but letters and digits; none holds another. */
const stems = secretWords
  .map((word) => word.replaceAll(' ', ''))
  .filter((word, _, all) => !all.some((other) => other !== word && word.includes(other)))
const secretPatterns = `array[${stems.map((stem) => literal(`%${stem}%`)).join(', ')}]`

/** What the trail's functions know of secrets: hashes, secret names, and secrets inside of JSON. */
export const secretFunctions: readonly string[] = [
  `create or replace function whodunit.hash(value text) returns text
  language sql stable strict security definer ${pinned} as $$
    select encode(substr(sha256(key || sha256(key || convert_to(value, 'UTF8'))), 1, 16), 'hex') from whodunit.secret
  $$`,

  `create or replace function whodunit.is_secret(name text) returns boolean
  language plpgsql immutable strict ${pinned} as $$
  declare
    secrets text[] := array[${secretWords.map(literal).join(', ')}]::text[];
    words text[] := array_remove(regexp_split_to_array(lower(regexp_replace(name, '([a-z0-9])([A-Z])', e'\\\\1 \\\\2', 'g')), '[^a-z0-9]+'), '');
  begin
    for i in 1 .. coalesce(array_length(words, 1), 0) loop
      if words[i] = any(secrets) or (words[i] || ' ' || words[i + 1]) = any(secrets) or (words[i] || words[i + 1]) = any(secrets) then
        return true;
      end if;
    end loop;
    return false;
  end $$`,

  `create or replace function whodunit.mask_json(value jsonb, names text[]) returns jsonb
  language plpgsql immutable ${pinned} as $$
  begin
    return case jsonb_typeof(value)
      when 'object' then (
        select coalesce(jsonb_object_agg(key, case
          when (whodunit.is_secret(key) or lower(key) = any(names)) and item <> 'null' then jsonb_build_object('$', 'masked')
          else whodunit.mask_json(item, names) end), '{}')
        from jsonb_each(value) as each(key, item))
      when 'array' then (
        select coalesce(jsonb_agg(whodunit.mask_json(item, names) order by place), '[]')
        from jsonb_array_elements(value) with ordinality as each(item, place))
      else value end;
  end $$`,

  // The exact text where nothing in it is secret; masked as a whole where it cannot be read. To read it costs, so first
  // it is looked for words that could make a name secret, in whatever way it is written: separators inside of a name
  // are taken out, the usual ones by calls that cost little, others only where there are any. One pattern for all words
  // would cost ten times as much
  `create or replace function whodunit.redact_json(value text, names text[]) returns text
  language plpgsql immutable ${pinned} as $$
  declare
    other_separators text := e'(\\\\\\\\[\\\\\\\\/"bfnrt]|[^a-z0-9])+';
    squeezed text := lower(replace(replace(replace(replace(value, '_', ''), '-', ''), '.', ''), ' ', ''));
    suspicious bool;
    plain jsonb;
    masked jsonb;
  begin
    if value is null then return null; end if;
    if squeezed ~ e'\\\\\\\\|[a-z0-9][^a-z0-9"]+[a-z0-9]' then
      squeezed := regexp_replace(squeezed, other_separators, '', 'g');
    end if;
    suspicious := squeezed like any (${secretPatterns}) or position(e'\\\\u' in value) > 0;
    if cardinality(names) > 0 and not suspicious then
      suspicious := squeezed like any (select '%' || regexp_replace(lower(name), other_separators, '', 'g') || '%' from unnest(names) as name);
    end if;
    if not suspicious then return value; end if;
    -- jsonb takes neither NUL nor half a character, which json may hold
    plain := regexp_replace(value, e'(?<!\\\\\\\\)((\\\\\\\\\\\\\\\\)*)\\\\\\\\u(0000|d[89a-f][0-9a-f]{2})', e'\\\\1', 'gi')::jsonb;
    masked := whodunit.mask_json(plain, array(select lower(name) from unnest(names) as name));
    return case when masked = plain then value else masked::text end;
  exception when others then
    return '{"$":"masked"}';
  end $$`,

  // As json: what is secret in it is masked, in the form of JSON; else it is its exact text
  `create or replace function whodunit.redact_nested(value text, exact text, names text[]) returns text
  language sql immutable ${pinned} as $$
    select case when redacted = value then exact else redacted end from (select whodunit.redact_json(value, names) as redacted) as r
  $$`,
]
