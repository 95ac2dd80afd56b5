/** What a page of an application with Relay has: never run, only compiled. */
import { graphql } from 'relay-runtime';

export const Page = graphql`
  query AppQuery($id: ID!, $count: Int!) {
    ...App_artworks @arguments(count: $count)
    content: node(id: $id) {
      __typename
      id
      ...App_content @alias(as: "asContent")
    }
    me {
      user {
        id
        name
      }
      roles
    }
  }
`;

export const Artworks = graphql`
  fragment App_artworks on Query
  @refetchable(queryName: "AppArtworksQuery")
  @argumentDefinitions(
    count: { type: "Int", defaultValue: 20 }
    cursor: { type: "String" }
    level: { type: "HotLevel" }
  ) {
    artworks(first: $count, after: $cursor, level: $level, orderBy: HOTTEST)
      @connection(key: "App_artworks", filters: ["level"]) {
      edges {
        cursor
        node {
          id
          ...App_content
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
      totalCount
    }
  }
`;

export const Videos = graphql`
  fragment App_videos on Query
  @refetchable(queryName: "AppVideosQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" }) {
    videos(last: $count, before: $cursor) @connection(key: "App_videos") {
      edges {
        node {
          id
          title
        }
      }
    }
  }
`;

/** Fetched again by its id: what `Node` and `node(id:)` are for. */
export const Artwork = graphql`
  fragment App_artwork on Artwork @refetchable(queryName: "AppArtworkQuery") {
    title
    width
    height
    viewerHasLiked
    hotness {
      score
      level
      rank
    }
  }
`;

/** An interface whose types are all nodes. */
export const Content = graphql`
  fragment App_content on Content {
    id
    title
    likeCount
    author {
      id
      name
    }
    ...App_artwork @alias(as: "asArtwork")
    ... on Video {
      durationMs
    }
  }
`;

export const Like = graphql`
  mutation AppLikeMutation($id: ID!) {
    like(contentId: $id) {
      changed
      content {
        id
        likeCount
        viewerHasLiked
      }
    }
  }
`;

export const Publish = graphql`
  mutation AppPublishMutation($input: PublishArtworkInput!, $connections: [ID!]!) {
    publishArtwork(input: $input) {
      created
      artwork @prependNode(connections: $connections, edgeTypeName: "ArtworkEdge") {
        id
        title
      }
    }
  }
`;

export const Changes = graphql`
  subscription AppChangesSubscription($ids: [ID!]) {
    hotnessChanged(contentIds: $ids) {
      cause
      content {
        id
        ...App_content
      }
    }
  }
`;
