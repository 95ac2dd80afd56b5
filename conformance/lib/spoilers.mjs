/**
 * Ways to spoil a document. Each takes a request of the generator (which it may change) and returns one to send, or
 * null where the document has nothing to spoil in this way. Whether the result is invalid is for graphql-js to say.
 */
import { Kind, print, visit } from 'graphql';

import {
  argument,
  boolean,
  directive,
  field,
  int,
  name,
  named,
  selectionSet,
  string,
  variable,
} from './generator.mjs';

const sent = ({ document, variables }) => ({ query: print(document), variables });

/** All nodes of a kind, in the order of the document. */
function nodes(document, kind) {
  const found = [];
  visit(document, { [kind]: (node) => void found.push(node) });
  return found;
}

/** Spoils one node of a kind in place, if there is one that `fits`. */
function one(kind, change, fits = () => true) {
  return (request, rng) => {
    const candidates = nodes(request.document, kind).filter(fits);
    if (candidates.length === 0) return null;
    return change(rng.pick(candidates), request, rng) === null ? null : sent(request);
  };
}

const operationOf = ({ document }) => document.definitions[0];
const withArguments = (node) => node.arguments?.length > 0;
const composite = (node) => node.selectionSet !== undefined;
const leaf = (node) => node.selectionSet === undefined;
const isLiteral = (node) => node.value && node.value.kind !== Kind.VARIABLE;
/** Writes over a node in place. */
const become = (node, other) => {
  for (const key of Object.keys(node)) delete node[key];
  Object.assign(node, structuredClone(other));
};
const anySet = (change, fits) => one(Kind.SELECTION_SET, change, fits);
const addToOperation = (change) => (request, rng) =>
  change(operationOf(request), request, rng) === null ? null : sent(request);
const addDefinition = (make) => (request, rng) => {
  const definition = make(request, rng);
  if (!definition) return null;
  request.document.definitions.push(...[definition].flat());
  return sent(request);
};
const operation = (value, selections, kind = 'query') => ({
  kind: Kind.OPERATION_DEFINITION,
  operation: kind,
  ...(value && { name: name(value) }),
  variableDefinitions: [],
  directives: [],
  selectionSet: selectionSet(selections),
});
const fragment = (value, on, selections) => ({
  kind: Kind.FRAGMENT_DEFINITION,
  name: name(value),
  typeCondition: named(on),
  directives: [],
  selectionSet: selectionSet(selections),
});
const spread = (value) => ({ kind: Kind.FRAGMENT_SPREAD, name: name(value), directives: [] });
const definition = (key, type, more) => ({
  kind: Kind.VARIABLE_DEFINITION,
  variable: variable(key),
  type,
  directives: [],
  ...more,
});
const nonNull = (type) => ({ kind: Kind.NON_NULL_TYPE, type });
const listOf = (type) => ({ kind: Kind.LIST_TYPE, type });
const strange = (rng) =>
  rng.pick([
    int(7),
    { kind: Kind.FLOAT, value: '1.5' },
    string('text'),
    boolean(true),
    { kind: Kind.ENUM, value: 'SOMETHING' },
    { kind: Kind.LIST, values: [int(1)] },
    { kind: Kind.LIST, values: [{ kind: Kind.NULL }] },
    { kind: Kind.OBJECT, fields: [] },
    { kind: Kind.OBJECT, fields: [{ kind: Kind.OBJECT_FIELD, name: name('a'), value: int(1) }] },
  ]);
const everywhere = ['query', 'mutation', 'subscription'];

export const spoilers = {
  'unknown field': {
    spoil: anySet((node) => void node.selections.push(field('nothing'))),
    kinds: everywhere,
  },
  'a field of another type': {
    spoil: anySet(
      (node, _, rng) =>
        void node.selections.push(
          field(
            rng.pick(['prompt', 'totalCount', 'rank', 'edges', 'halfLifeHours', 'roles', 'itemId']),
          ),
        ),
    ),
  },
  'misspelt field': {
    spoil: one(Kind.FIELD, (node) => void (node.name = name(`${node.name.value}s`))),
    kinds: everywhere,
  },
  'field in the wrong case': {
    spoil: one(Kind.FIELD, (node) => {
      const { value } = node.name;
      node.name = name(value[0].toUpperCase() + value.slice(1));
    }),
  },
  'unknown argument': {
    spoil: one(Kind.FIELD, (node) => {
      node.arguments = [...(node.arguments ?? []), argument('nothing', int(1))];
    }),
    kinds: everywhere,
  },
  'argument of another field': {
    spoil: one(Kind.FIELD, (node, _, rng) => {
      node.arguments = [
        ...(node.arguments ?? []),
        argument(rng.pick(['id', 'level', 'subject', 'externalIds', 'unless']), string('x')),
      ];
    }),
  },
  'missing argument': {
    spoil: one(Kind.FIELD, (node) => void (node.arguments = []), withArguments),
    kinds: everywhere,
  },
  'repeated argument': {
    spoil: one(Kind.FIELD, (node) => void node.arguments.push(node.arguments[0]), withArguments),
    kinds: everywhere,
  },
  'literal of another type': {
    spoil: one(Kind.ARGUMENT, (node, _, rng) => void (node.value = strange(rng)), isLiteral),
    kinds: everywhere,
  },
  'null for an argument': {
    spoil: one(Kind.ARGUMENT, (node) => void (node.value = { kind: Kind.NULL })),
    kinds: everywhere,
  },
  'integer beyond 32 bits': {
    spoil: one(
      Kind.INT,
      (node, _, rng) =>
        void (node.value = rng.pick(['2147483648', '-2147483649', '9999999999999999999999'])),
    ),
  },
  'float for an integer': {
    spoil: one(Kind.INT, (node) => become(node, { kind: Kind.FLOAT, value: `${node.value}.0` })),
  },
  'string for an enum': {
    spoil: one(Kind.ENUM, (node) => become(node, string(node.value))),
  },
  'unknown enum value': { spoil: one(Kind.ENUM, (node) => void (node.value = 'NOTHING')) },
  'enum value in lower case': {
    spoil: one(Kind.ENUM, (node) => void (node.value = node.value.toLowerCase())),
  },
  'enum for a string': {
    spoil: one(Kind.STRING, (node) => become(node, { kind: Kind.ENUM, value: 'TEXT' })),
  },
  'list in a list': {
    spoil: one(Kind.ARGUMENT, (node) => {
      node.value = { kind: Kind.LIST, values: [{ kind: Kind.LIST, values: [node.value] }] };
    }),
  },
  'unknown input field': {
    spoil: one(
      Kind.OBJECT,
      (node) =>
        void node.fields.push({ kind: Kind.OBJECT_FIELD, name: name('nothing'), value: int(1) }),
    ),
    kinds: ['mutation'],
  },
  'repeated input field': {
    spoil: one(
      Kind.OBJECT,
      (node) => void node.fields.push(node.fields[0]),
      (node) => node.fields.length > 0,
    ),
    kinds: ['mutation'],
  },
  'missing input field': {
    spoil: one(Kind.OBJECT, (node) => void (node.fields = [])),
    kinds: ['mutation'],
  },
  'unknown type': {
    spoil: one(Kind.NAMED_TYPE, (node) => void (node.name = name('Nothing'))),
    kinds: everywhere,
  },
  'another type': {
    spoil: one(
      Kind.NAMED_TYPE,
      (node, _, rng) =>
        void (node.name = name(
          rng.pick(['User', 'Query', 'Int', 'HotLevel', 'Video', 'Boolean', 'Node']),
        )),
    ),
  },
  'unknown fragment': {
    spoil: anySet((node) => void node.selections.push(spread('Nothing'))),
    kinds: everywhere,
  },
  'impossible fragment': {
    spoil: anySet(
      (node, _, rng) =>
        void node.selections.push({
          kind: Kind.INLINE_FRAGMENT,
          typeCondition: named(rng.pick(['User', 'Mutation', 'PageInfo', 'Hotness', 'Video'])),
          directives: [],
          selectionSet: selectionSet([field('__typename')]),
        }),
    ),
  },
  'fragment on a leaf type': {
    spoil: anySet(
      (node, _, rng) =>
        void node.selections.push({
          kind: Kind.INLINE_FRAGMENT,
          typeCondition: named(
            rng.pick(['Int', 'HotLevel', 'PublishVideoInput', 'ID', 'DateTime']),
          ),
          directives: [],
          selectionSet: selectionSet([field('__typename')]),
        }),
    ),
  },
  'unused fragment': {
    spoil: addDefinition(() => fragment('Unused', 'User', [field('id')])),
    kinds: everywhere,
  },
  'fragment twice': {
    spoil: addDefinition(({ document }) =>
      structuredClone(document.definitions.find((each) => each.kind === Kind.FRAGMENT_DEFINITION)),
    ),
  },
  'fragment in a circle': {
    spoil: (request, rng) => {
      const fragments = request.document.definitions.slice(1);
      if (fragments.length === 0) return null;
      const inner = rng.pick(fragments);
      inner.selectionSet.selections.push(spread(rng.pick(fragments).name.value));
      return sent(request);
    },
  },
  'circle of new fragments': {
    spoil: (request) => {
      const type = { query: 'Query', mutation: 'Mutation', subscription: 'Subscription' };
      const on = type[operationOf(request).operation];
      operationOf(request).selectionSet.selections.push(spread('CircleA'));
      request.document.definitions.push(
        fragment('CircleA', on, [field('__typename'), spread('CircleB')]),
        fragment('CircleB', on, [spread('CircleA')]),
      );
      return sent(request);
    },
    kinds: everywhere,
  },
  'overlapping arguments': {
    spoil: anySet(
      (node, _, rng) => {
        const twin = structuredClone(rng.pick(node.selections.filter(withArguments)));
        twin.arguments.pop();
        node.selections.push(twin);
      },
      (node) => node.selections.some((each) => each.kind === Kind.FIELD && withArguments(each)),
    ),
  },
  'overlapping names': {
    spoil: anySet(
      (node, _, rng) => {
        const fields = node.selections.filter((each) => each.kind === Kind.FIELD);
        const key = rng.pick(fields);
        node.selections.push(
          field(rng.pick(fields.concat(field('__typename'))).name.value, {
            alias: key.alias ?? key.name,
          }),
        );
      },
      (node) => node.selections.some((each) => each.kind === Kind.FIELD && leaf(each)),
    ),
  },
  'overlap through a fragment': {
    spoil: anySet(
      (node, _, rng) => {
        const key = rng.pick(node.selections.filter((each) => each.kind === Kind.FIELD));
        node.selections.push({
          kind: Kind.INLINE_FRAGMENT,
          directives: [],
          selectionSet: selectionSet([field('__typename', { alias: key.alias ?? key.name })]),
        });
      },
      (node) => node.selections.some((each) => each.kind === Kind.FIELD),
    ),
  },
  'selection of a leaf': {
    spoil: one(
      Kind.FIELD,
      (node) => void (node.selectionSet = selectionSet([field('__typename')])),
      leaf,
    ),
    kinds: everywhere,
  },
  'object without a selection': {
    spoil: one(Kind.FIELD, (node) => void delete node.selectionSet, composite),
    kinds: everywhere,
  },
  'empty selection': {
    spoil: (request) => {
      const { query, variables } = sent(request);
      const spoilt = query.replace(/\{[^{}]*\}/, '{ }');
      return spoilt === query ? null : { query: spoilt, variables };
    },
    kinds: everywhere,
  },
  'operation twice': {
    spoil: addDefinition((request) => operation('Generated', [field('__typename')])),
    kinds: ['query', 'mutation'],
  },
  'anonymous with others': {
    spoil: addDefinition(() => operation(undefined, [field('__typename')])),
    kinds: ['query', 'mutation'],
  },
  'two operations and no name': {
    spoil: addDefinition(() => operation('Second', [field('__typename')])),
    kinds: ['query', 'mutation'],
  },
  'name of no operation': {
    spoil: (request) => ({ ...sent(request), operationName: 'Nothing' }),
    kinds: everywhere,
  },
  'unknown directive': {
    spoil: one(Kind.FIELD, (node) => {
      node.directives = [...(node.directives ?? []), directive('nothing')];
    }),
    kinds: everywhere,
  },
  'repeated directive': {
    spoil: one(Kind.FIELD, (node) => {
      node.directives = [directive('skip', boolean(false)), directive('skip', boolean(false))];
    }),
    kinds: ['query', 'mutation'],
  },
  'directive without its argument': {
    spoil: one(Kind.FIELD, (node) => void (node.directives = [directive('include')])),
    kinds: ['query', 'mutation'],
  },
  'directive with a wrong argument': {
    spoil: one(
      Kind.FIELD,
      (node, _, rng) =>
        void (node.directives = [
          directive('skip', rng.pick([int(1), string('true'), { kind: Kind.NULL }])),
        ]),
    ),
    kinds: ['query', 'mutation'],
  },
  'misplaced directive': {
    spoil: addToOperation((node, _, rng) => {
      node.directives = [directive(rng.pick(['skip', 'include']), boolean(false))];
    }),
    kinds: everywhere,
  },
  'directive of schemas': {
    spoil: one(Kind.FIELD, (node) => void (node.directives = [directive('deprecated')])),
  },
  'undefined variable': {
    spoil: one(Kind.ARGUMENT, (node) => void (node.value = variable('nothing'))),
    kinds: everywhere,
  },
  'unused variable': {
    spoil: addToOperation(
      (node) => void node.variableDefinitions.push(definition('unused', named('Int'))),
    ),
    kinds: everywhere,
  },
  'variable twice': {
    spoil: addToOperation((node) => {
      if (node.variableDefinitions.length === 0) return null;
      node.variableDefinitions.push(node.variableDefinitions[0]);
    }),
    kinds: everywhere,
  },
  'variable of an output type': {
    spoil: one(
      Kind.VARIABLE_DEFINITION,
      (node, _, rng) =>
        void (node.type = named(rng.pick(['User', 'Content', 'Query', 'ArtworkConnection']))),
    ),
    kinds: everywhere,
  },
  'variable of another type': {
    spoil: one(Kind.VARIABLE_DEFINITION, (node, _, rng) => {
      delete node.defaultValue;
      const type = named(rng.pick(['Int', 'String', 'Boolean', 'ID', 'Float', 'HotLevel']));
      node.type = rng.pick([type, nonNull(type), listOf(type), nonNull(listOf(type))]);
    }),
    kinds: everywhere,
  },
  'nullable variable': {
    spoil: one(
      Kind.VARIABLE_DEFINITION,
      (node) => void (node.type = node.type.type),
      (node) => node.type.kind === Kind.NON_NULL_TYPE && !node.defaultValue,
    ),
    kinds: everywhere,
  },
  'nullable variable inside a value': {
    spoil: (request, rng) => {
      const inside = new Set();
      const note = (node) => void inside.add(node.name.value);
      for (const kind of [Kind.LIST, Kind.OBJECT]) {
        for (const node of nodes(request.document, kind)) {
          visit(node, { [Kind.VARIABLE]: note });
        }
      }
      return one(
        Kind.VARIABLE_DEFINITION,
        (node) => {
          node.type = node.type.type;
          delete node.defaultValue;
        },
        (node) => node.type.kind === Kind.NON_NULL_TYPE && inside.has(node.variable.name.value),
      )(request, rng);
    },
    kinds: everywhere,
  },
  'default of another type': {
    spoil: one(Kind.VARIABLE_DEFINITION, (node, _, rng) => void (node.defaultValue = strange(rng))),
    kinds: everywhere,
  },
  'null as the default of a non-null variable': {
    spoil: one(
      Kind.VARIABLE_DEFINITION,
      (node) => void (node.defaultValue = { kind: Kind.NULL }),
      (node) => node.type.kind === Kind.NON_NULL_TYPE,
    ),
    kinds: everywhere,
  },
  'missing value': {
    spoil: (request) => ({ ...sent(request), variables: {} }),
    kinds: everywhere,
  },
  'null as a value': {
    spoil: (request) => ({
      ...sent(request),
      variables: Object.fromEntries(Object.keys(request.variables).map((key) => [key, null])),
    }),
    kinds: everywhere,
  },
  'value of another type': {
    spoil: (request, rng) => {
      const keys = Object.keys(request.variables);
      if (keys.length === 0) return null;
      const value = rng.pick([7, 1.5, 'text', true, {}, [null], [[1]], { a: 1 }, 2 ** 31, '']);
      return { ...sent(request), variables: { ...request.variables, [rng.pick(keys)]: value } };
    },
    kinds: everywhere,
  },
  'second root field of a subscription': {
    spoil: addToOperation(
      (node) =>
        void node.selectionSet.selections.push(
          field('hotRankingChanged', {
            alias: name('second'),
            selectionSet: selectionSet([field('changedAt')]),
          }),
        ),
    ),
    kinds: ['subscription'],
  },
  'definition of a type': {
    spoil: addDefinition(() => ({
      kind: Kind.SCALAR_TYPE_DEFINITION,
      name: name('Extra'),
      directives: [],
    })),
    kinds: everywhere,
  },
  'token missing': {
    spoil: (request, rng) => {
      const { query, variables } = sent(request);
      const places = [...query.matchAll(/[{}()\[\]:$]/g)].map((each) => each.index);
      const at = rng.pick(places);
      return { query: query.slice(0, at) + query.slice(at + 1), variables };
    },
    kinds: everywhere,
  },
  'token too many': {
    spoil: (request, rng) => {
      const { query, variables } = sent(request);
      const places = [...query.matchAll(/[{}()\[\]:$,\n]/g)];
      const at = rng.pick(places.map((each) => each.index));
      const token = rng.pick([
        '{',
        '}',
        '(',
        ')',
        '$',
        '@',
        '...',
        '!',
        '=',
        '&',
        '|',
        '"',
        '%',
        '\u0000',
        ' null ',
        ' true ',
        ' 1 ',
        ' 1.5 ',
        ' "" ',
        ' word ',
        ' on ',
        ' fragment ',
        ':',
        '[',
        ']',
        '#',
      ]);
      return { query: query.slice(0, at) + token + query.slice(at), variables };
    },
    kinds: everywhere,
  },
  'text cut off': {
    spoil: (request, rng) => {
      const { query, variables } = sent(request);
      return { query: query.slice(0, rng.below(query.length)), variables };
    },
    kinds: everywhere,
  },
};
