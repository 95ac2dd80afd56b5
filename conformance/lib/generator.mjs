/**
 * Random documents that fit the schema, as syntax trees of graphql-js. Kept small: at most 7 levels, 40 fields, 12
 * aliases and short lists, so that no limit of a server refuses what is valid.
 */
import {
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isLeafType,
  isListType,
  isNonNullType,
  Kind,
  getNamedType,
  isRequiredArgument,
  parseType,
} from 'graphql';

import { schema } from './server.mjs';

const DEEPEST = 6;
const MOST_FIELDS = 40;
const MOST_ALIASES = 12;
/** Long lists and big pages belong to other tests. */
const SHORT = 3;

export const name = (value) => ({ kind: Kind.NAME, value });
export const field = (value, more) => ({ kind: Kind.FIELD, name: name(value), ...more });
export const argument = (key, value) => ({ kind: Kind.ARGUMENT, name: name(key), value });
export const variable = (value) => ({ kind: Kind.VARIABLE, name: name(value) });
export const selectionSet = (selections) => ({ kind: Kind.SELECTION_SET, selections });
export const int = (value) => ({ kind: Kind.INT, value: String(value) });
export const string = (value) => ({ kind: Kind.STRING, value });
export const boolean = (value) => ({ kind: Kind.BOOLEAN, value });
export const named = (value) => ({ kind: Kind.NAMED_TYPE, name: name(value) });
export const directive = (key, ifValue) => ({
  kind: Kind.DIRECTIVE,
  name: name(key),
  arguments: ifValue ? [argument('if', ifValue)] : [],
});

export class Generator {
  constructor(rng) {
    this.rng = rng;
    this.fields = 0;
    this.aliases = 0;
    this.definitions = [];
    this.variables = {};
    this.fragments = [];
  }

  /** @returns {{ document: object, variables: object }} */
  request(kind) {
    const root = schema.getRootType(kind);
    const selections = this.selections(root, 1);
    const operation = {
      kind: Kind.OPERATION_DEFINITION,
      operation: kind,
      name: name('Generated'),
      variableDefinitions: this.definitions,
      directives: [],
      // A subscription has one root field.
      selectionSet: kind === 'subscription' ? selectionSet([this.someField(root, 1)]) : selections,
    };
    // What the discarded selections of a subscription used is not used.
    const document = { kind: Kind.DOCUMENT, definitions: [operation, ...this.fragments] };
    return {
      document: kind === 'subscription' ? pruned(document) : document,
      variables: this.variables,
    };
  }

  selections(type, depth) {
    const { rng } = this;
    const many = 1 + rng.below(depth === 1 ? 3 : 4);
    const found = [];
    for (let i = 0; i < many; i += 1) found.push(this.selection(type, depth));
    return selectionSet(found);
  }

  selection(type, depth) {
    const { rng } = this;
    if (depth < DEEPEST && this.fields < MOST_FIELDS) {
      const draw = rng.below(20);
      if (draw === 0) return this.inlineFragment(type, depth);
      if (draw === 1 && this.fragments.length < 4) return this.spread(type, depth);
      if (draw <= 4 && isInterfaceType(type)) return this.inlineFragment(type, depth);
    }
    return this.someField(type, depth);
  }

  inlineFragment(type, depth) {
    const target = this.fragmentTarget(type);
    return {
      kind: Kind.INLINE_FRAGMENT,
      ...((target !== type || this.rng.chance(0.7)) && { typeCondition: named(target.name) }),
      directives: this.directives(),
      selectionSet: this.selections(target, depth + 1),
    };
  }

  spread(type, depth) {
    const target = this.fragmentTarget(type);
    const fragment = {
      kind: Kind.FRAGMENT_DEFINITION,
      name: name(`Fragment${this.fragments.length}`),
      typeCondition: named(target.name),
      directives: [],
    };
    this.fragments.push(fragment);
    fragment.selectionSet = this.selections(target, depth + 1);
    return { kind: Kind.FRAGMENT_SPREAD, name: fragment.name, directives: this.directives() };
  }

  fragmentTarget(type) {
    const possible = isInterfaceType(type) ? schema.getPossibleTypes(type) : [];
    return this.rng.pick([type, ...possible]);
  }

  someField(type, depth) {
    const { rng } = this;
    this.fields += 1;
    const all = Object.values(type.getFields());
    const leaves = all.filter((each) => isLeafType(getNamedType(each.type)));
    const shallow = depth >= DEEPEST || this.fields > MOST_FIELDS;
    if (shallow && leaves.length === 0) return field('__typename');
    if (type !== schema.getSubscriptionType() && rng.chance(0.05)) return field('__typename');
    const chosen = rng.pick(shallow ? leaves : all);
    const result = getNamedType(chosen.type);
    const args = this.arguments(chosen);
    // Two fields with one response key must be the same field with the same arguments: those with any get an alias.
    const aliased = args.length > 0 || (this.aliases < MOST_ALIASES && rng.chance(0.1));
    if (aliased) this.aliases += 1;
    return field(chosen.name, {
      ...(aliased && { alias: name(`a${this.aliases}`) }),
      arguments: args,
      directives: type === schema.getSubscriptionType() ? [] : this.directives(),
      ...(!isLeafType(result) && { selectionSet: this.selections(result, depth + 1) }),
    });
  }

  arguments(of) {
    const { rng } = this;
    return of.args
      .filter(
        (arg) =>
          isRequiredArgument(arg) ||
          // Without it a page has 20 items, each with all that is below it.
          arg.name === 'first' ||
          (this.aliases < MOST_ALIASES && rng.chance(0.3)),
      )
      .map((arg) => argument(arg.name, this.argumentValue(arg)));
  }

  argumentValue(arg) {
    if (this.definitions.length < 8 && this.rng.chance(0.35)) return this.variable(arg);
    return this.literal(arg.type, { variables: true });
  }

  variable(arg) {
    const { rng } = this;
    const key = `v${this.definitions.length}`;
    const strict = rng.chance(0.3) && !isNonNullType(arg.type);
    const withDefault = rng.chance(0.3);
    this.definitions.push({
      kind: Kind.VARIABLE_DEFINITION,
      variable: variable(key),
      type: parseType(`${arg.type}${strict ? '!' : ''}`),
      directives: [],
      ...(withDefault && { defaultValue: this.literal(arg.type, { nullable: !strict }) }),
    });
    const required = (strict || isNonNullType(arg.type)) && !withDefault;
    if (required || rng.chance(0.6)) this.variables[key] = this.json(arg.type);
    return variable(key);
  }

  directives() {
    const { rng } = this;
    if (!rng.chance(0.06)) return [];
    const skip = rng.chance(0.5);
    return [directive(skip ? 'skip' : 'include', boolean(rng.chance(0.5)))];
  }

  /** A value for the type, as it is written in a document; of lists and objects a part may be a variable. */
  literal(type, { nullable = true, variables = false } = {}) {
    const { rng } = this;
    const part = (of) =>
      variables && this.definitions.length < 8 && rng.chance(0.3)
        ? this.variable({ type: of })
        : this.literal(of, { variables });
    if (isNonNullType(type)) return this.literal(type.ofType, { nullable: false, variables });
    if (nullable && rng.chance(0.1)) return { kind: Kind.NULL };
    if (isListType(type)) {
      if (rng.chance(0.15)) return this.literal(type.ofType, { nullable: false, variables });
      const values = Array.from({ length: rng.below(SHORT + 1) }, () => part(type.ofType));
      return { kind: Kind.LIST, values };
    }
    if (isInputObjectType(type)) {
      const fields = this.inputFields(type).map((each) => ({
        kind: Kind.OBJECT_FIELD,
        name: name(each.name),
        value: part(each.type),
      }));
      return { kind: Kind.OBJECT, fields };
    }
    const value = this.scalar(type);
    if (isEnumType(type)) return { kind: Kind.ENUM, value };
    switch (typeof value) {
      case 'boolean':
        return boolean(value);
      case 'number':
        return Number.isInteger(value) ? int(value) : { kind: Kind.FLOAT, value: String(value) };
      default:
        return string(value);
    }
  }

  /** A value for the type, as it is written in the variables. */
  json(type, { nullable = true } = {}) {
    const { rng } = this;
    if (isNonNullType(type)) return this.json(type.ofType, { nullable: false });
    if (nullable && rng.chance(0.1)) return null;
    if (isListType(type)) {
      if (rng.chance(0.15)) return this.json(type.ofType, { nullable: false });
      return Array.from({ length: rng.below(SHORT + 1) }, () => this.json(type.ofType));
    }
    if (isInputObjectType(type)) {
      return Object.fromEntries(
        this.inputFields(type).map((each) => [each.name, this.json(each.type)]),
      );
    }
    return this.scalar(type);
  }

  inputFields(type) {
    return Object.values(type.getFields()).filter(
      (each) => isNonNullType(each.type) || this.rng.chance(0.3),
    );
  }

  scalar(type) {
    const { rng } = this;
    if (isEnumType(type)) return rng.pick(type.getValues()).name;
    switch (type.name) {
      case 'Int':
        return rng.below(SHORT + 1);
      case 'Float':
        return rng.pick([0, 1, 2.5, 100]);
      case 'Boolean':
        return rng.chance(0.5);
      case 'ID':
        return rng.pick([
          'artwork_01h455vb4pex5vsknk084sn02q',
          'video_01h455vb4pex5vsknk084sn02q',
          'user_01h455vb4pex5vsknk084sn02q',
        ]);
      default:
        return rng.pick(['', 'x', 'some text', '热度', '2024-01-01T00:00:00Z']);
    }
  }
}

/** Without fragments and variables that nothing uses. */
function pruned(document) {
  const [operation, ...fragments] = document.definitions;
  const used = JSON.stringify(operation.selectionSet);
  const kept = fragments.filter((each) => used.includes(`"${each.name.value}"`));
  const text = used + JSON.stringify(kept);
  return {
    ...document,
    definitions: [
      {
        ...operation,
        variableDefinitions: operation.variableDefinitions.filter((each) =>
          text.includes(`"${each.variable.name.value}"`),
        ),
      },
      ...kept,
    ],
  };
}
